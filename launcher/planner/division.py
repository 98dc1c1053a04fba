"""Which areas share guest sockets: the exact search for terms 4 to 6, over groups of areas instead of placements.

Call areas connected where one guest socket uses both. A connected group of n nodes and m caches crosses at least
n - 1 nodes and m - 1 caches, and laying its sockets end to end along its areas crosses no more. So the least of
terms 4 and 6 is found by dividing the areas into groups, each of which holds a whole number of guest sockets;
neither the order of the sockets nor that of the CPUs need be searched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from launcher.planner.candidates import (
    FIELD,
    TERM,
    Item,
    Kind,
    Problem,
    Span,
    bounds_of,
    candidates,
    kinds_of,
    pose,
    useful,
    within_nodes,
)
from launcher.planner.stock import Regime, Stock, regime_of
from launcher.vmi.guest import Topology

# Beyond this many pairs of areas and group (ten different areas have 59,049) the search would take seconds.
_EXACT_LIMIT = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Areas (indices of the items, ascending) that hold these many guest sockets together."""

    items: tuple[int, ...]
    sockets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """The groups, and their cost: a number that compares as terms 1, 3, 4, 5 and 6 do in this order."""

    cost: int
    groups: tuple[Group, ...]

    @property
    def promise(self) -> tuple[int, int, int]:
        """Terms 4, 5 and 6 as the cost has them; no placement on these areas does better."""
        field = (1 << TERM) - 1
        return self.cost >> (2 * TERM) & field, self.cost >> TERM & field, self.cost & field


class _State(NamedTuple):
    """Disjoint groups that use up some areas, linked: the newest group and what was there before it."""

    cost: int
    low: int
    high: int
    span: Span | None = None
    before: _State | None = None


def search_size(items: Sequence[Item]) -> int:
    """Bound the pairs of used areas and candidate group that `divide` looks at; its time grows with them."""
    size = 1
    for kind in kinds_of(items):
        size *= (len(kind.members) + 1) * (len(kind.members) + 2) // 2
    return size


def divide(items: Sequence[Item], topology: Topology) -> Division:
    """Divide the areas into groups so that terms 1, 3, 4, 5 and 6, in this order, are least for this guest.

    Exact where no cache spans nodes and the guest cores that must be split have at most two threads; else a lower
    bound with groups that come close. More than ten different areas are divided roughly: each on its own where that
    does, else all as one group. The caller makes sure that there are CPUs enough.
    """
    if search_size(items) > _EXACT_LIMIT:
        return _divided_roughly(items, topology)
    problem = pose(items, topology)
    spans = candidates(problem)
    best = _search(within_nodes(spans), problem)
    if best is None or best.cost >> (3 * TERM) > problem.least_price:
        best = _search(useful(spans, problem.kinds), problem)
    if best is None:
        raise AssertionError("all areas together hold every guest socket")
    return _division(best, problem.kinds, topology.sockets)


def _divided_roughly(items: Sequence[Item], topology: Topology) -> Division:
    regime = regime_of(sum((item.stock for item in items), Stock()), topology.sockets * topology.cores)
    bounds = [bounds_of((item.stock,), regime, topology.threads) for item in items]
    lows, highs = [-(-must // topology.cores) for must, _ in bounds], [may // topology.cores for _, may in bounds]
    fits_apart = all(low <= high for low, high in zip(lows, highs, strict=True))
    if not fits_apart or not sum(lows) <= topology.sockets <= sum(highs):
        everything = Group(items=tuple(range(len(items))), sockets=topology.sockets)
        return Division(cost=(len(items) - 1) << (2 * TERM), groups=(everything,))
    counts = list(lows)
    for index in sorted(range(len(items)), key=lambda index: (-highs[index], index)):
        counts[index] += min(highs[index] - counts[index], topology.sockets - sum(counts))
    groups = tuple(Group(items=(index,), sockets=count) for index, count in enumerate(counts) if count)
    return Division(cost=len(groups) << TERM, groups=groups)


def _search(spans: Sequence[Span], problem: Problem) -> _State | None:
    """Find the cheapest disjoint groups that hold the sockets and idle no area which the regime uses throughout."""
    sockets = problem.topology.sockets
    found = [
        state._replace(cost=state.cost + (_nodes_used(areas, problem.kinds) << TERM))
        for areas, choices in _reachable(spans, problem).items()
        if _may_stop(areas, problem)
        for state in choices
        if state.low <= sockets <= state.high
    ]
    return min(found, key=lambda state: state.cost, default=None)


def _reachable(spans: Sequence[Span], problem: Problem) -> dict[int, list[_State]]:
    """Collect, for every choice of areas that groups can use up exactly, the ways to do so that none dominates."""
    guards = sum(kind.unit << (FIELD - 1) for kind in problem.kinds)
    starting: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        starting[_lowest_unit(span.areas)].append(span)
    states: dict[int, list[_State]] = {0: [_State(0, 0, 0)]}
    for areas in sorted(pile.areas for pile in problem.piles):
        choices: list[_State] = []
        for span in starting[_lowest_unit(areas)]:
            if ((areas | guards) - span.areas) & guards == guards:
                for before in states.get(areas - span.areas, ()):
                    _keep(choices, before, span)
        if choices:
            states[areas] = choices
    return states


def _lowest_unit(areas: int) -> int:
    """Return the unit of the first kind present: a group is chosen for that one, so each division is met once."""
    lowest = (areas & -areas).bit_length() - 1
    return 1 << (lowest // FIELD * FIELD)


def _keep(choices: list[_State], before: _State, span: Span) -> None:
    cost, low, high = before.cost + span.cost, before.low + span.low, before.high + span.high
    for other in choices:
        if other.cost <= cost and other.low <= low and other.high >= high:
            return
    choices[:] = [other for other in choices if other.cost < cost or other.low < low or other.high > high]
    choices.append(_State(cost, low, high, span, before))


def _nodes_used(areas: int, kinds: Sequence[Kind]) -> int:
    if kinds[0].apart:
        return sum(kind.count(areas) for kind in kinds)
    return len({kind.node for kind in kinds if kind.count(areas)})


def _may_stop(areas: int, problem: Problem) -> bool:
    return all(_may_idle(kind, problem.regime) or kind.count(areas) == len(kind.members) for kind in problem.kinds)


def _may_idle(kind: Kind, regime: Regime) -> bool:
    match regime:
        case Regime.PLENTY:
            return True
        case Regime.BESIDE:
            return not kind.stock.whole
        case Regime.SPLIT:
            return not kind.stock.wholes


def _division(state: _State, kinds: Sequence[Kind], sockets: int) -> Division:
    spans = []
    step: _State | None = state
    while step is not None and step.span is not None:
        spans.append(step.span)
        step = step.before
    extra = sockets - sum(span.low for span in spans)
    left = {kind: list(kind.members) for kind in kinds}
    groups = []
    for span in spans:
        more = min(extra, span.high - span.low)
        extra -= more
        members = sorted(left[kind].pop(0) for kind in kinds for _ in range(kind.count(span.areas)))
        groups.append(Group(items=tuple(members), sockets=span.low + more))
    return Division(cost=state.cost, groups=tuple(sorted(groups, key=lambda group: group.items)))
