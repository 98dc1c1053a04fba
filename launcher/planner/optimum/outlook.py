"""Fewer crossings than this the nodes that are left cannot have: what each node can do alone or with others, priced.

Every node has a menu: ways to use its items, each with the CPUs that stay without a vCPU, the parts of groups that
other nodes complete, and the crossings. How many CPUs may stay so and how many parts there may be binds the nodes
together; with a price for each instead, every node chooses by itself, and the sum is a bound at whatever prices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import ceil
from typing import NamedTuple

from msgspec import Struct

from launcher.planner.optimum.states import Item

# Nodes of more items have no menu: the ways to divide them are too many.
_MOST_ITEMS = 5
# Prices that are tried for a CPU without a vCPU and for a part of a group, in halves of a crossing; the best are kept.
_CPU_PRICES = (0.0, 0.07, 0.12, 0.2, 0.25, 0.33, 0.4, 0.5, 0.67, 0.8, 1.0, 1.5, 2.0)
_PRICES = tuple(product(_CPU_PRICES, (0.0, 0.33, 0.5, 0.67, 1.0)))
_KEPT = 3


# Crossings are summed up in fractions of the least sizes of groups.
_ROUNDING = 1e-9


class Way(NamedTuple):
    """One way to use a node: CPUs without a vCPU, parts of groups with other nodes, and halves of crossings."""

    idle: int
    parts: int
    halves: int


# What nodes cost at each of the prices, by what tells their items apart: whether one must be used, and its CPUs.
Menus = dict[tuple[tuple[bool, int], ...], list[float]]


class Outlook(Struct, frozen=True, kw_only=True):
    """For a few prices (of a CPU, of a part) what each whole node costs at least, and the items that it has."""

    prices: Sequence[tuple[float, float]]
    costs: Sequence[Mapping[int, float]]
    items: Mapping[int, int]

    @staticmethod
    def of(
        items: Sequence[Item], socket: int, threads: int, slack: int, nodes: int, *, known: Menus | None = None
    ) -> Outlook | None:
        """Weigh the items for so many CPUs that may stay without a vCPU and nodes crossed.

        A part of a group that other nodes complete has whole guest cores of so many `threads`. None where that is no
        help. Menus that are `known` of the same guest are not made again.
        """
        known = {} if known is None else known
        members: dict[int, list[Item]] = {}
        for item in items:
            members.setdefault(item.node, []).append(item)
        if len(members) < 2 or max(len(own) for own in members.values()) > _MOST_ITEMS:
            return None
        costs = {}
        for node, own in members.items():
            shape = tuple([(item.low > 0, item.high) for item in own])
            if shape not in known:
                known[shape] = _costs(undominated(ways(own, socket, threads)))
            costs[node] = known[shape]
        sums = list(map(sum, zip(*costs.values(), strict=True)))
        halves = [total - cpu * slack - part * 2 * nodes for total, (cpu, part) in zip(sums, _PRICES, strict=True)]
        best = sorted(range(len(_PRICES)), key=halves.__getitem__, reverse=True)[:_KEPT]
        return Outlook(
            prices=[_PRICES[index] for index in best],
            costs=[{node: own[index] for node, own in costs.items()} for index in best],
            items={node: len(own) for node, own in members.items()},
        )

    def crossings(self, items: Iterable[Item], slack: int, nodes: int) -> int:
        """Return the least crossings of those nodes that are whole among the items."""
        counts = Counter([item.node for item in items])
        whole = [node for node, count in counts.items() if count == self.items[node]]
        halves = max(
            sum([costs[node] for node in whole]) - cpu * slack - part * 2 * nodes
            for (cpu, part), costs in zip(self.prices, self.costs, strict=True)
        )
        return crossings_of(halves / 2)


def crossings_of(least: float) -> int:
    """Return the whole number of crossings that this bound, which was summed up in fractions, allows at least."""
    return max(0, ceil(least - _ROUNDING))


def _costs(menu: Iterable[Way]) -> list[float]:
    """Return what a node costs at each of the prices."""
    return [min([halves + cpu * idle + part * parts for idle, parts, halves in menu]) for cpu, part in _PRICES]


def ways(items: Sequence[Item], socket: int, threads: int) -> Iterator[Way]:
    """Yield every way to use the items of one node: idle ones, groups of its own, and parts of others' groups.

    A part costs its items, less the half of a group that it is at most.
    """
    if not items:
        yield Way(0, 0, 0)
        return
    first, others = items[0], items[1:]
    if not first.low:
        for rest in ways(others, socket, threads):
            yield Way(rest.idle + first.high, rest.parts, rest.halves)
    for chosen in range(1 << len(others)):
        members = [item for position, item in enumerate(others) if chosen >> position & 1]
        left = [item for position, item in enumerate(others) if not chosen >> position & 1]
        high = first.high + sum(item.high for item in members)
        for rest in ways(left, socket, threads):
            yield Way(rest.idle + high % threads, rest.parts + 1, rest.halves + 2 * len(members) + 1)
            if high >= socket:
                yield Way(rest.idle + high % socket, rest.parts, rest.halves + 2 * len(members))


def undominated(menu: Iterable[Way]) -> list[Way]:
    """Leave out ways beside which another is as good in every count."""
    kept: list[Way] = []
    # Those before have as few CPUs without a vCPU, or fewer.
    for way in sorted(set(menu)):
        if not any(other.parts <= way.parts and other.halves <= way.halves for other in kept):
            kept.append(way)
    return kept
