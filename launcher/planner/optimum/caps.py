"""Nodes that may carry fewer vCPUs than they have CPUs: what groups take of them, so that none carries more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, field

from launcher.planner.optimum.stock import Regime, Stock


class Wanted(Struct, frozen=True):
    """So many guest sockets of this many CPUs."""

    sockets: int
    size: int


class Caps(Struct, frozen=True, kw_only=True):
    """The CPUs that capped nodes may give to vCPUs, and the regime that holds on each of them.

    A cap may keep a node in an earlier regime than the guest's: then the node is `full`, it carries as many as it may.
    """

    most: Mapping[int, int] = field(default_factory=dict)
    regimes: Mapping[int, Regime] = field(default_factory=dict)
    full: frozenset[int] = frozenset()

    def limit(self, node: int, cpus: int) -> int:
        """Return how many of these CPUs the node may give."""
        return min(cpus, self.most.get(node, cpus))


def usable(stock: Stock, regime: Regime) -> Stock:
    """Return what of a stock is used in this regime."""
    match regime:
        case Regime.PLENTY:
            return Stock(whole=stock.whole)
        case Regime.BESIDE:
            return Stock(whole=stock.whole, whole_beside=stock.whole_beside)
        case Regime.SPLIT:
            return stock


def cpus_of(stock: Stock, threads: int) -> int:
    """Count the CPUs of a stock."""
    return threads * stock.wholes + stock.looses


def needed(stock: Stock, regime: Regime, threads: int) -> int:
    """Count the CPUs of a stock that vCPUs must have in this regime."""
    return threads * (0, stock.whole, stock.wholes)[regime]


class Part(Struct, kw_only=True):
    """What a group takes of one node, between what it must and what it can."""

    must: int = 0
    can: int = 0
    taken: int = 0


class Sharing(Struct):
    """Groups that fill guest sockets from nodes: the parts of each group, by node, and what nodes may still give."""

    parts: Sequence[Mapping[int, Part]]
    free: dict[int, int]

    def give(self, group: int, cpus: int) -> bool:
        """Give the group so many CPUs more, moving other groups to their other nodes; tell whether that could be."""
        while cpus > 0:
            path = self._path(group)
            if path is None:
                return False
            step = min(cpus, self.free[path[-1][1]], *(self._room(path, index) for index in range(len(path))))
            for index, (mover, node) in enumerate(path):
                self.parts[mover][node].taken += step
                if index:
                    self.parts[mover][path[index - 1][1]].taken -= step
            self.free[path[-1][1]] -= step
            cpus -= step
        return not cpus

    def _room(self, path: Sequence[tuple[int, int]], index: int) -> int:
        mover, node = path[index]
        room = self.parts[mover][node].can - self.parts[mover][node].taken
        if not index:
            return room
        left = self.parts[mover][path[index - 1][1]]
        return min(room, left.taken - left.must)

    def _path(self, group: int) -> Sequence[tuple[int, int]] | None:
        """Find groups that move one after the other, each to a node, the last one to a node that may give more."""
        waiting, seen = [(group, list[tuple[int, int]]())], set[int]()
        for mover, path in waiting:
            for node, part in self.parts[mover].items():
                if node in seen or part.taken >= part.can:
                    continue
                seen.add(node)
                further = [*path, (mover, node)]
                if self.free[node]:
                    return further
                movable = (i for i, own in enumerate(self.parts) if node in own and own[node].taken > own[node].must)
                waiting += [(other, further) for other in movable]
        return None


def shared(
    bounds: Sequence[tuple[int, int]], parts: Sequence[Mapping[int, Part]], caps: Mapping[int, int], goal: Wanted
) -> list[int] | None:
    """Share the guest sockets out among groups, within the bounds of each and the caps of the nodes, by their parts.

    Return the sockets of each group; None where that cannot be.
    """
    free = {node: caps.get(node, 1 << 30) for own in parts for node in own}
    for own in parts:
        for node, part in own.items():
            part.taken = part.must
            free[node] -= part.must
    sharing = Sharing(parts, free)
    counts = [low for low, _ in bounds]
    for index, low in enumerate(counts):
        if not sharing.give(index, low * goal.size - sum(part.taken for part in parts[index].values())):
            return None
    left = goal.sockets - sum(counts)
    for index, (_, high) in enumerate(bounds):
        while left and counts[index] < high:
            before = [[part.taken for part in own.values()] for own in parts], dict(sharing.free)
            if not sharing.give(index, goal.size):
                for own, taken in zip(parts, before[0], strict=True):
                    for part, count in zip(own.values(), taken, strict=True):
                        part.taken = count
                sharing.free = before[1]
                break
            counts[index] += 1
            left -= 1
    return None if left else counts


def trimmed(stocks: Mapping[int, Stock], cpus: int, threads: int) -> Iterator[tuple[int, Stock]]:
    """Leave so many CPUs of the stocks of areas: loose ones go first, and those beside housekeeping, the last first."""
    over = sum(cpus_of(stock, threads) for stock in stocks.values()) - cpus
    left = {area: [stock.loose_beside, stock.loose, stock.whole_beside, stock.whole] for area, stock in stocks.items()}
    for kind, unit in enumerate((1, 1, threads, threads)):
        for area in reversed(left):
            gone = min(left[area][kind], max(0, over) // unit)
            left[area][kind] -= gone
            over -= gone * unit
    for area, (loose_beside, loose, beside, whole) in left.items():
        yield area, Stock(whole=whole, whole_beside=beside, loose=loose, loose_beside=loose_beside)
