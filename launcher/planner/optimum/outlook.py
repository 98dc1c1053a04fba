"""Fewer crossings than this the nodes that are left cannot have: what each node can do alone or with others, priced.

Every node has a menu: ways to use its items, each with the CPUs that stay without a vCPU, the parts of groups that
other nodes complete, and the crossings. How many CPUs may stay so and how many parts there may be binds the nodes
together; with a price for each instead, every node chooses by itself, and the sum is a bound at whatever prices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from typing import NamedTuple

from msgspec import Struct

from launcher.planner.optimum.states import Item

# Nodes of more items have no menu: the ways to divide them are too many.
_MOST_ITEMS = 5
# Prices that are tried for a CPU without a vCPU and for a part of a group, in halves of a crossing; the best are kept.
_CPU_PRICES = (0.0, 0.07, 0.12, 0.2, 0.25, 0.33, 0.4, 0.5, 0.67, 0.8, 1.0, 1.5, 2.0)
_PART_PRICES = (0.0, 0.33, 0.5, 0.67, 1.0)
_KEPT = 3
_ROUNDING = 1e-9


class Way(NamedTuple):
    """One way to use a node: CPUs without a vCPU, parts of groups with other nodes, and halves of crossings."""

    idle: int
    parts: int
    halves: int


class Outlook(Struct, frozen=True, kw_only=True):
    """For a few prices (of a CPU, of a part) what each item's node costs at least, divided among its items."""

    prices: Sequence[tuple[float, float]]
    shares: Sequence[Sequence[float]]

    @staticmethod
    def of(items: Sequence[Item], socket: int, threads: int, slack: int, nodes: int) -> Outlook | None:
        """Weigh the items, numbered from 0, for so many CPUs that may stay without a vCPU and nodes crossed.

        A part of a group that other nodes complete has whole guest cores of so many `threads`. None where that is no
        help.
        """
        members: dict[int, list[Item]] = {}
        for item in items:
            members.setdefault(item.node, []).append(item)
        if len(members) == 1 or max(len(own) for own in members.values()) > _MOST_ITEMS:
            return None
        menus = [(own, undominated(ways(own, socket, threads))) for own in members.values()]
        rated = sorted(
            (_weighed(menus, prices, len(items), slack, nodes) for prices in _all_prices()), key=lambda one: -one[0]
        )[:_KEPT]
        return Outlook(prices=[prices for _, prices, _ in rated], shares=[shares for _, _, shares in rated])

    def crossings(self, items: Iterable[Item], slack: int, nodes: int) -> int:
        """Return the least crossings of the items, which are whole nodes."""
        numbers = [item.number for item in items]
        halves = max(
            sum(share[number] for number in numbers) - cpu * slack - part * 2 * nodes
            for (cpu, part), share in zip(self.prices, self.shares, strict=True)
        )
        return max(0, ceil(halves / 2 - _ROUNDING))


def _all_prices() -> Iterator[tuple[float, float]]:
    return ((cpu, part) for cpu in _CPU_PRICES for part in _PART_PRICES)


def _weighed(
    menus: Sequence[tuple[Sequence[Item], Sequence[Way]]],
    prices: tuple[float, float],
    count: int,
    slack: int,
    nodes: int,
) -> tuple[float, tuple[float, float], Sequence[float]]:
    cpu, part = prices
    shares, total = [0.0] * count, 0.0
    for own, menu in menus:
        least = min(way.halves + cpu * way.idle + part * way.parts for way in menu)
        total += least
        for item in own:
            shares[item.number] = least / len(own)
    return total - cpu * slack - part * 2 * nodes, prices, shares


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
    for way in sorted(set(menu)):
        if not any(all(a <= b for a, b in zip(other, way, strict=True)) for other in kept):
            kept.append(way)
    return kept
