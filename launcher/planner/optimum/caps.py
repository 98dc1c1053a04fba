"""Nodes that may carry fewer vCPUs than they have CPUs: what groups take of them, so that none carries more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, field

from launcher.planner.optimum.stock import Regime, Stock
from launcher.vmi.guest import Topology


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


class Part(Struct, kw_only=True):
    """What a group takes of one node, between what it must and what it can."""

    must: int = 0
    can: int = 0
    taken: int = 0


Parts = Sequence[Mapping[int, Part]]


def shared(
    bounds: Sequence[tuple[int, int]], parts: Parts, caps: Mapping[int, int], topology: Topology
) -> list[int] | None:
    """Share the guest sockets out among groups, within the bounds of each and the caps of the nodes, by their parts.

    Return the sockets of each group, and leave in the parts what is taken; None where that cannot be.
    """
    free = {node: caps.get(node, 1 << 30) for own in parts for node in own}
    for own in parts:
        for node, part in own.items():
            part.taken = part.must
            free[node] -= part.must
    counts, size = [low for low, _ in bounds], topology.cores * topology.threads
    for index, own in enumerate(parts):
        if not _give(index, counts[index] * size - sum(part.taken for part in own.values()), parts, free):
            return None
    for index, (_, high) in enumerate(bounds):
        while sum(counts) < topology.sockets and counts[index] < high:
            before = [part.taken for own in parts for part in own.values()], dict(free)
            if not _give(index, size, parts, free):
                for part, taken in zip((part for own in parts for part in own.values()), before[0], strict=True):
                    part.taken = taken
                free = before[1]
                break
            counts[index] += 1
    return counts if sum(counts) == topology.sockets else None


def _give(group: int, cpus: int, parts: Parts, free: dict[int, int]) -> bool:
    """Give the group so many CPUs more, moving other groups to their other nodes; tell whether that could be."""
    while cpus > 0:
        step = _given(group, cpus, parts, free, set())
        if not step:
            return False
        cpus -= step
    return not cpus


def _given(group: int, cpus: int, parts: Parts, free: dict[int, int], seen: set[int]) -> int:
    """Give the group some CPUs more, of a node that has any or from which another group moves; return how many."""
    for node, part in sorted(parts[group].items(), key=lambda entry: not free[entry[0]]):
        wanted = min(cpus, part.can - part.taken)
        if not wanted or node in seen:
            continue
        seen.add(node)
        for mover, own in enumerate(parts):
            if not free[node] and node in own and own[node].taken > own[node].must:
                moved = _given(mover, min(wanted, own[node].taken - own[node].must), parts, free, seen)
                own[node].taken -= moved
                free[node] += moved
        step = min(wanted, free[node])
        if step:
            part.taken += step
            free[node] -= step
            return step
    return 0


def trimmed(stocks: Mapping[int, Stock], cpus: int, threads: int) -> Iterator[tuple[int, Stock]]:
    """Leave so many CPUs of the stocks of areas: loose ones go first, and those beside housekeeping, the last first."""
    over = sum(stock.cpus(threads) for stock in stocks.values()) - cpus
    left = {area: list(reversed(stock)) for area, stock in stocks.items()}
    for kind, unit in enumerate((1, 1, threads, threads)):
        for area in reversed(left):
            gone = min(left[area][kind], max(0, over) // unit)
            left[area][kind] -= gone
            over -= gone * unit
    for area, own in left.items():
        yield area, Stock(*reversed(own))
