"""What an area offers once its housekeeping CPUs are taken, and which kinds of CPUs these may be: all in counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

# Up to so many housekeeping CPUs every way to take them of cores of one kind is listed, beyond it those which take
# parts of cores in at most two sizes, of cores with more than four CPUs in one: a host with eight threads a core has
# thousands of the others.
_ALL_TAKES = 12
_SMALL_CORE = 4


class Stock(NamedTuple):
    """Room for guest cores, counted for one number of threads per guest core.

    `whole` guest cores fit on one host core each, `loose` CPUs are left of those cores; `whole_beside` and
    `loose_beside` are the same on host cores that also carry a housekeeping CPU.
    """

    whole: int = 0
    whole_beside: int = 0
    loose: int = 0
    loose_beside: int = 0

    @property
    def wholes(self) -> int:
        """All guest cores that fit on one host core each."""
        return self.whole + self.whole_beside

    @property
    def looses(self) -> int:
        """All CPUs left of those cores."""
        return self.loose + self.loose_beside

    def cpus(self, threads: int) -> int:
        """Count the CPUs."""
        return threads * self.wholes + self.looses


class Regime(IntEnum):
    """How far down the objective the guest's size reaches into the stock.

    PLENTY: every guest core fits whole and away from housekeeping. BESIDE: whole, but some beside housekeeping, so
    everything away from it is used. SPLIT: some guest cores are split, so every place for a whole one is used.
    """

    PLENTY = 0
    BESIDE = 1
    SPLIT = 2


class Take(NamedTuple):
    """Housekeeping takes `cpus` CPUs of each of `cores` host cores that have `free` free CPUs."""

    free: int
    cpus: int
    cores: int


class Reservation(NamedTuple):
    """What housekeeping takes of one area (`cpus` in all), and the stock that is left."""

    cpus: int
    takes: tuple[Take, ...]
    stock: Stock


# By the number of CPUs taken; and cores by their free CPUs, counted.
Reservations = Mapping[int, Sequence[Reservation]]
_Cores = tuple[tuple[int, int], ...]


def summed(stocks: Iterable[Stock]) -> Stock:
    """Add up stocks."""
    return Stock(*map(sum, zip(*stocks, strict=True)))


def reservations(histograms: Iterable[Mapping[int, int]], threads: int, most: int) -> Iterator[Reservations]:
    """List for each area, by the number of CPUs taken (0 to `most`), the reservations that no other one dominates.

    A histogram counts an area's cores by free CPUs; what is the same in several areas is found once. One dominates
    another of as many CPUs if it leaves as many places for whole guest cores, as many of them away from housekeeping,
    and as many CPUs away from it: whatever the guest does with the other it can do with the first, at the same price or
    less in every term.
    """
    known: dict[_Cores, Reservations] = {}

    def found(kinds: _Cores) -> Reservations:
        if kinds not in known:
            one = len(kinds) == 1
            own = _of_kind(*kinds[0], threads, most) if one else _sums(found(kinds[:-1]), found(kinds[-1:]), most)
            known[kinds] = _undominated(own, threads)
        return known[kinds]

    return (found(tuple(histogram.items())) for histogram in histograms)


def _sums(one: Reservations, other: Reservations, most: int) -> Iterator[Reservation]:
    for taken, same in one.items():
        for cpus, others in other.items():
            if taken + cpus <= most:
                for _, more, (whole, beside, loose, loose_beside) in others:
                    for _, takes, own in same:
                        stock = Stock(own[0] + whole, own[1] + beside, own[2] + loose, own[3] + loose_beside)
                        yield Reservation(taken + cpus, takes + more, stock)


def _of_kind(free: int, count: int, threads: int, most: int) -> Iterator[Reservation]:
    sizes = free if most <= _ALL_TAKES else 2 if free <= _SMALL_CORE else 1
    for takes in _takes(free, free, count, most, sizes):
        taken, quiet, beside, loose = 0, count, 0, 0
        for _, cpus, cores in takes:
            places, rest = divmod(free - cpus, threads)
            taken, quiet = taken + cores * cpus, quiet - cores
            beside, loose = beside + cores * places, loose + cores * rest
        stock = Stock(quiet * (free // threads), beside, quiet * (free % threads), loose)
        yield Reservation(taken, takes, stock)


def _takes(free: int, cpus: int, cores: int, most: int, sizes: int) -> Iterator[tuple[Take, ...]]:
    """Yield every way to take at most `most` CPUs, at most `cpus` of a core, of `cores` cores with `free` free CPUs.

    Cores that are not taken whole are taken in at most `sizes` different parts.
    """
    if not cpus or (not sizes and cpus < free):
        yield ()
        return
    for number in range(min(cores, most // cpus) + 1):
        head = (Take(free, cpus, number),) if number else ()
        left = sizes - 1 if number and cpus < free else sizes
        for rest in _takes(free, cpus - 1, cores - number, most - number * cpus, left):
            yield head + rest


def _undominated(options: Iterable[Reservation], threads: int) -> dict[int, list[Reservation]]:
    """Gather the reservations by the number of CPUs taken, without those that are dominated."""

    best: dict[tuple[int, int, int, int], Reservation] = {}
    for option in options:
        whole, whole_beside, loose, _ = option.stock
        order = option.cpus, -whole - whole_beside, -whole, -threads * whole - loose
        known = best.get(order)
        if known is None or option.takes < known.takes:
            best[order] = option
    kept: dict[int, list[Reservation]] = defaultdict(list)
    merits: dict[int, list[tuple[int, int]]] = defaultdict(list)
    # Those before have as many places for whole guest cores, or more.
    for (cpus, _, whole, quiet), option in sorted(best.items()):
        if not any(good[0] <= whole and good[1] <= quiet for good in merits[cpus]):
            kept[cpus].append(option)
            merits[cpus].append((whole, quiet))
    return kept
