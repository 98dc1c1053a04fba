"""Choices of so many items, of so many nodes, whose sum leaves little over beyond whole guest sockets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from launcher.planner.optimum.states import Effort, Item


class Wanted(NamedTuple):
    """A multiple of `size`, or at most so many `more` or `fewer`."""

    size: int
    more: int
    fewer: int

    def remainders(self) -> int:
        """Return the remainders of such sums, as bits."""
        return (1 << min(self.more + 1, self.size)) - 1 | ((1 << self.size) - (1 << max(0, self.size - self.fewer)))


class _Taken(NamedTuple):
    """Items taken, the remainder of their sum with the first one, their nodes, the last of them, and its CPUs taken."""

    items: tuple[Item, ...]
    total: int
    nodes: frozenset[int]
    node: int
    here: int
    # The nodes that may still be left open.
    may_open: int


class Sums:
    """The choices out of a pool, items of a node next to each other, that make a wanted sum with what is there before.

    Of choices that are equal but for interchangeable items or nodes there is only the first: a node that `follows`
    another one is chosen only beside that one.
    """

    def __init__(self, pool: Sequence[Item], most: int, first: Item, wanted: Wanted, effort: Effort) -> None:
        """Prepare the choices of at most so many items beside the first one."""
        effort.spend(len(pool) * most)
        self.pool, self.first, self.wanted, self.effort = pool, first, wanted, effort
        # All CPUs of each node, those of the first item among them.
        self.totals = {first.node: first.high}
        for item in pool:
            self.totals[item.node] = self.totals.get(item.node, 0) + item.high
        # Which remainders may be missing beside each remainder: twice the good ones, to be shifted.
        self.good = wanted.remainders() * (1 + (1 << wanted.size))
        self.reach = _reach([item.high % wanted.size for item in pool], most, wanted.size)
        self.follows = _follows(pool, first.node)

    def choices(self, count: int, nodes: int, most_open: int) -> Iterator[tuple[Item, ...]]:
        """Yield those of so many items on exactly so many further nodes.

        They leave at most so many of their nodes open: with more than whole guest sockets and what is wanted.
        """
        node, high = self.first.node, self.first.high
        start = _Taken((), high % self.wanted.size, frozenset((node,)), node, high, most_open)
        return self._extend(0, count, nodes, start)

    def _extend(self, first: int, count: int, nodes: int, taken: _Taken) -> Iterator[tuple[Item, ...]]:
        """Take so many items more, from this one on, that are on so many nodes more."""
        size, good, pool = self.wanted.size, self.good, self.pool
        reach = self.reach[count - 1]
        self.effort.spend(len(pool) - first)
        kind = node = None
        for i in range(first, len(pool) - count + 1):
            item = pool[i]
            if item.kind == kind and item.node == node:
                continue
            kind, node = item.kind, item.node
            total = (taken.total + item.high) % size
            more = node not in taken.nodes
            if not more <= nodes <= count or not reach[i + 1] & good >> total:
                continue
            further = self._with(taken, item, total)
            if further is None:
                continue
            if count > 1:
                yield from self._extend(i + 1, count - 1, nodes - more, further)
            elif nodes == more and further.may_open >= self._is_open(further):
                yield further.items

    def _with(self, taken: _Taken, item: Item, total: int) -> _Taken | None:
        """Take one item more; None where its node comes too early, or the node before is left open and may not be."""
        items, node = (*taken.items, item), item.node
        if node == taken.node:
            return _Taken(items, total, taken.nodes, node, taken.here + item.high, taken.may_open)
        may_open = taken.may_open - self._is_open(taken)
        if may_open < 0 or self.follows.get(node, self.first.node) not in taken.nodes:
            return None
        return _Taken(items, total, taken.nodes | {node}, node, item.high, may_open)

    def _is_open(self, taken: _Taken) -> bool:
        return (self.totals[taken.node] - taken.here) % self.wanted.size > self.wanted.more


def _follows(pool: Sequence[Item], home: int) -> dict[int, int]:
    """For each node but the first one's name the last one before whose items are of the same kinds."""
    kinds: dict[int, list[int]] = {}
    for item in pool:
        if item.node != home:
            kinds.setdefault(item.node, []).append(item.kind)
    last: dict[tuple[int, ...], int] = {}
    found = {}
    for node, own in kinds.items():
        key = tuple(own)
        if key in last:
            found[node] = last[key]
        last[key] = node
    return found


def _reach(remainders: Sequence[int], count: int, size: int) -> list[list[int]]:
    """For c and i say, as bits, which remainders the sums of c of the numbers from i on have."""
    everything = (1 << size) - 1
    table = [[1] * (len(remainders) + 1)]
    for _ in range(count):
        before, row = table[-1], [0] * (len(remainders) + 1)
        for i in range(len(remainders) - 1, -1, -1):
            bits = before[i + 1] << remainders[i]
            row[i] = row[i + 1] | (bits | bits >> size) & everything
        table.append(row)
    return table
