"""What an area offers once its housekeeping CPUs are taken, in counts, and what guest cores split over it cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from enum import IntEnum

from msgspec import Struct


class Stock(Struct, frozen=True, kw_only=True, order=True):
    """Room for guest cores, counted for one number of threads per guest core.

    `whole` guest cores fit on one host core each, `loose` CPUs are left of those cores; `whole_beside` and
    `loose_beside` are the same on host cores that also carry a housekeeping CPU.
    """

    whole: int = 0
    whole_beside: int = 0
    loose: int = 0
    loose_beside: int = 0

    def __add__(self, other: Stock) -> Stock:
        return Stock(
            whole=self.whole + other.whole,
            whole_beside=self.whole_beside + other.whole_beside,
            loose=self.loose + other.loose,
            loose_beside=self.loose_beside + other.loose_beside,
        )

    @property
    def wholes(self) -> int:
        """All guest cores that fit on one host core each."""
        return self.whole + self.whole_beside

    @property
    def looses(self) -> int:
        """All CPUs left of those cores."""
        return self.loose + self.loose_beside


class Regime(IntEnum):
    """How far down the objective the guest's size reaches into the stock.

    PLENTY: every guest core fits whole and away from housekeeping. BESIDE: whole, but some beside housekeeping, so
    everything away from it is used. SPLIT: some guest cores are split, so every place for a whole one is used.
    """

    PLENTY = 0
    BESIDE = 1
    SPLIT = 2


class Target(Struct, frozen=True, kw_only=True, order=True):
    """Terms 1 to 3 of the objective at their least, for given stocks."""

    cores_across_nodes: int = 0
    cores_split: int = 0
    vcpus_beside_housekeeping: int = 0


class Split(Struct, frozen=True, kw_only=True):
    """How split guest cores spread over nodes: inside each, in CPUs given by each to cores that cross nodes."""

    across: int
    beside: int
    inside: tuple[int, ...]
    crossing_cpus: tuple[int, ...]


def regime_of(total: Stock, guest_cores: int) -> Regime:
    """Tell which regime this many guest cores have on the summed stock."""
    if guest_cores <= total.whole:
        return Regime.PLENTY
    return Regime.BESIDE if guest_cores <= total.wholes else Regime.SPLIT


def least(nodes: Iterable[Stock], guest_cores: int, threads: int) -> Target:
    """Compute the least terms 1 to 3 for this many guest cores over the stocks of the nodes.

    Exact, because the terms are met one after the other: a node holds floor(CPUs / threads) guest cores inside it
    whichever way they lie, places for whole cores are never worth breaking, and CPUs beside housekeeping come last.
    """
    stocks = tuple(nodes)
    total = sum(stocks, Stock())
    match regime_of(total, guest_cores):
        case Regime.PLENTY:
            return Target()
        case Regime.BESIDE:
            return Target(vcpus_beside_housekeeping=threads * (guest_cores - total.whole))
        case Regime.SPLIT:
            split = spread(stocks, guest_cores - total.wholes, threads)
            return Target(
                cores_across_nodes=split.across,
                cores_split=guest_cores - total.wholes,
                vcpus_beside_housekeeping=threads * total.whole_beside + split.beside,
            )


def by_node(stocks: Iterable[tuple[int, Stock]]) -> dict[int, Stock]:
    """Sum the stocks of each node."""
    sums: dict[int, Stock] = defaultdict(Stock)
    for node, stock in stocks:
        sums[node] += stock
    return dict(sums)


def spread(nodes: Iterable[Stock], cores: int, threads: int) -> Split:
    """Spread split guest cores over the loose CPUs of the nodes: as few as can be across nodes, beside housekeeping.

    The caller makes sure that there are threads x cores loose CPUs. Ties go to the first nodes.
    """
    stocks = tuple(nodes)
    room = [stock.looses // threads for stock in stocks]
    across = max(0, cores - sum(room))
    inside = room if across else _fill(stocks, room, cores, threads)
    crossing = _crossing_cpus(stocks, inside, threads * across, threads)
    used = [threads * cores_here + extra for cores_here, extra in zip(inside, crossing, strict=True)]
    beside = sum(max(0, count - stock.loose) for count, stock in zip(used, stocks, strict=True))
    return Split(across=across, beside=beside, inside=tuple(inside), crossing_cpus=tuple(crossing))


def _fill(stocks: tuple[Stock, ...], room: list[int], cores: int, threads: int) -> list[int]:
    """Choose how many split cores each node holds: greedy is exact, for a node's next one never costs less."""
    inside = [0] * len(stocks)
    left = cores
    for index, stock in enumerate(stocks):
        inside[index] = min(left, stock.loose // threads)
        left -= inside[index]
    while left:
        open_nodes = [index for index in range(len(stocks)) if inside[index] < room[index]]
        cheapest = min(open_nodes, key=lambda i: (min(threads, threads * (inside[i] + 1) - stocks[i].loose), i))
        inside[cheapest] += 1
        left -= 1
    return inside


def _crossing_cpus(stocks: tuple[Stock, ...], inside: list[int], cpus: int, threads: int) -> list[int]:
    """Choose the CPUs that each node gives to guest cores across nodes, those away from housekeeping first."""
    rest = [stock.looses - threads * cores for stock, cores in zip(stocks, inside, strict=True)]
    free = [
        min(over, max(0, stock.loose - threads * cores))
        for stock, cores, over in zip(stocks, inside, rest, strict=True)
    ]
    given = [0] * len(stocks)
    for limits in (free, rest):
        for index, limit in enumerate(limits):
            step = min(cpus, limit - given[index])
            given[index] += step
            cpus -= step
    return given
