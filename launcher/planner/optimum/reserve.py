"""Which kinds of CPUs the housekeeping takes: every choice that the objective may prefer, as counts per area."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter

from msgspec import Struct

from launcher.planner.optimum.stock import Stock


class Take(Struct, frozen=True, kw_only=True, order=True):
    """Housekeeping takes `cpus` CPUs of each of `cores` host cores that have `free` free CPUs."""

    free: int
    cpus: int
    cores: int


class Reservation(Struct, frozen=True, kw_only=True):
    """What housekeeping takes of one area (`cpus` in all), and the stock that is left."""

    cpus: int
    takes: tuple[Take, ...]
    stock: Stock


# Up to so many housekeeping CPUs every way to take them of cores of one kind is listed, beyond it those which take
# parts of cores in at most two sizes, of cores with more than four CPUs in one: a host with eight threads a core has
# thousands of the others.
_ALL_TAKES = 12
_SMALL_CORE = 4
# Summed stocks that are followed: so many in all, and at least so many for one number of CPUs.
_SUMS = 1_200
_LEAST_SUMS = 20
# Choices for all areas so far that are followed, whatever they leave.
_FOLLOWED_LIMIT = 2_000


Options = Mapping[int, Sequence[Reservation]]


def reservations(histogram: Mapping[int, int], threads: int, most: int) -> dict[int, tuple[Reservation, ...]]:
    """List, by the number of CPUs taken (0 to `most`), the reservations of one area that no other one dominates.

    `histogram` counts the area's cores by free CPUs. One dominates another of as many CPUs if it leaves as many
    places for whole guest cores, as many of them away from housekeeping, and as many CPUs away from it: whatever
    the guest does with the other it can do with the first, at the same price or less in every term.
    """
    found: dict[int, tuple[Reservation, ...]] = {0: (Reservation(cpus=0, takes=(), stock=Stock()),)}
    for free, count in histogram.items():
        of_kind = _sorted_out(_of_kind(free, count, threads, most), threads)
        found = _combined(found, [option for options in of_kind.values() for option in options], threads, most)
    return found


def _of_kind(free: int, count: int, threads: int, most: int) -> Iterator[Reservation]:
    sizes = free if most <= _ALL_TAKES else 2 if free <= _SMALL_CORE else 1
    for takes in _takes(free, free, count, most, sizes):
        touched = sum(take.cores for take in takes)
        stock = Stock(
            whole=(count - touched) * (free // threads),
            loose=(count - touched) * (free % threads),
            whole_beside=sum(take.cores * ((free - take.cpus) // threads) for take in takes),
            loose_beside=sum(take.cores * ((free - take.cpus) % threads) for take in takes),
        )
        yield Reservation(cpus=sum(take.cores * take.cpus for take in takes), takes=takes, stock=stock)


def _takes(free: int, cpus: int, cores: int, most: int, sizes: int) -> Iterator[tuple[Take, ...]]:
    """Yield every way to take at most `most` CPUs, at most `cpus` of a core, of `cores` cores with `free` free CPUs.

    Cores that are not taken whole are taken in at most `sizes` different parts.
    """
    if not cpus or (not sizes and cpus < free):
        yield ()
        return
    for number in range(min(cores, most // cpus) + 1):
        head = (Take(free=free, cpus=cpus, cores=number),) if number else ()
        left = sizes - 1 if number and cpus < free else sizes
        for rest in _takes(free, cpus - 1, cores - number, most - number * cpus, left):
            yield head + rest


def _combined(
    found: Mapping[int, Sequence[Reservation]], more: Sequence[Reservation], threads: int, most: int
) -> dict[int, tuple[Reservation, ...]]:
    joined = (
        _joined(option, extra)
        for taken, options in found.items()
        for extra in more
        if taken + extra.cpus <= most
        for option in options
    )
    return _sorted_out(joined, threads)


def _sorted_out(options: Iterable[Reservation], threads: int) -> dict[int, tuple[Reservation, ...]]:
    """Gather the reservations by the number of CPUs taken, without those that are dominated."""
    by_cpus: dict[int, list[Reservation]] = defaultdict(list)
    for option in options:
        by_cpus[option.cpus].append(option)
    return {cpus: _undominated(same, threads) for cpus, same in sorted(by_cpus.items())}


def _joined(one: Reservation, other: Reservation) -> Reservation:
    return Reservation(cpus=one.cpus + other.cpus, takes=one.takes + other.takes, stock=one.stock + other.stock)


def _undominated(options: Iterable[Reservation], threads: int) -> tuple[Reservation, ...]:
    def order(option: Reservation) -> tuple[int, int, int, tuple[Take, ...]]:
        stock = option.stock
        return -stock.wholes, -stock.whole, -threads * stock.whole - stock.loose, option.takes

    kept: list[Reservation] = []
    merits: list[tuple[int, int]] = []
    for (_, whole, quiet, _), option in sorted(((order(option), option) for option in options), key=itemgetter(0)):
        # Those before have as many places for whole guest cores, or more.
        if not any(good[0] <= whole and good[1] <= quiet for good in merits):
            kept.append(option)
            merits.append((whole, quiet))
    return tuple(kept)


def combinations(areas: Sequence[Options], cpus: int, limit: int) -> list[tuple[Reservation, ...]]:
    """List the choices of one reservation per area that take `cpus` CPUs in all.

    Of those that leave the same summed stock at most `limit` are followed, and of the summed stocks for one number
    of CPUs the best `limit` by whole places (fewer where there are more than seven CPUs): beyond that (many
    housekeeping CPUs on many nodes) it is a heuristic.
    """
    partial: _Sums = {(0, 0): [()]}
    sums = min(limit, max(_LEAST_SUMS, _SUMS // (cpus + 1)))
    later = sum(max(options) for options in areas)
    for options in areas:
        alike = min(limit, max(1, _FOLLOWED_LIMIT // len(partial)))
        later -= max(options)
        partial = _best_sums(_extended(partial, options, range(cpus - later, cpus + 1), alike), sums)
    return [choice for (taken, _), choices in sorted(partial.items()) if taken == cpus for choice in choices]


# The choices followed, by the CPUs taken and the summed stock, whose counts are fields of one number: they add at once.
_Sums = dict[tuple[int, int], list[tuple[Reservation, ...]]]
_FIELD = 14


def _packed(stock: Stock) -> int:
    wholes = stock.whole << _FIELD | stock.whole_beside
    return (wholes << _FIELD | stock.loose) << _FIELD | stock.loose_beside


def _extended(partial: _Sums, options: Options, wanted: range, limit: int) -> _Sums:
    """Extend each choice by this area, to so many CPUs that the later areas can make up the rest."""
    extended: _Sums = defaultdict(list)
    steps = [(more, _packed(option.stock), option) for more, same in options.items() for option in same]
    for (taken, stock), choices in partial.items():
        for more, extra, option in steps:
            if taken + more not in wanted:
                continue
            slot = extended[taken + more, stock + extra]
            if len(slot) < limit:
                slot.extend([(*choice, option) for choice in choices[: limit - len(slot)]])
    return extended


def _best_sums(extended: _Sums, limit: int) -> _Sums:
    if len(extended) <= limit:
        return extended
    kept: _Sums = {}
    room: Counter[int] = Counter()
    for taken, stock in sorted(extended, key=_by_places):
        room[taken] += 1
        if room[taken] <= limit:
            kept[taken, stock] = extended[taken, stock]
    return kept


def _by_places(key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Order by the CPUs taken, then by the places for whole guest cores that are left, the most first."""
    taken, stock = key
    whole = stock >> (3 * _FIELD)
    return taken, -whole - (stock >> (2 * _FIELD) & ((1 << _FIELD) - 1)), -whole, stock
