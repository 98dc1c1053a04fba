"""Every guest socket inside one node: each node filled by itself, then as many sockets to each as is best."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from launcher.planner.candidates import TERM, Item, Outline, Problem, candidates, outline, pose, search_size, useful
from launcher.planner.grouping import Grouping, groupings, may_stop, members_of
from launcher.planner.stock import Regime, Stock
from launcher.vmi.guest import Topology

# Up to so many areas of a node, or so many pairs of some of them and a group, each is searched by itself.
_AREA_LIMIT = 8
_SEARCH_LIMIT = 7_000


class _Filling(NamedTuple):
    """Nodes filled one after the other, linked: the newest one's groups, and what was there before it."""

    cost: int
    low: int
    high: int
    node: int = -1
    grouping: Grouping | None = None
    before: _Filling | None = None


def fill_nodes(items: Sequence[Item], topology: Topology) -> tuple[int, list[tuple[tuple[int, ...], int]]] | None:
    """Divide the areas into groups that lie on one node each; None where that raises term 1, 3 or 4 of the score.

    Returns the cost (as in `division.Division`) and for each group its items and guest sockets. Exact in terms 3, 5
    and 6; in 6 only where no node has more than eight areas that differ. The nodes are searched one by one, so that the
    time grows with their number.
    """
    whole = outline(items, topology)
    by_node: dict[int, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        by_node[item.node].append(index)
    members = [searched(indices, items) for _, indices in sorted(by_node.items())]
    problems = [pose([merged(indices, items) for indices in areas], topology, whole) for areas in members]
    best = _best_filling(problems, whole, topology.sockets)
    if best is None:
        return None
    cost = best.cost - (whole.least_price << (3 * TERM))
    return cost, _groups(best, problems, members, topology.sockets)


def searched(indices: Sequence[int], items: Sequence[Item]) -> list[tuple[int, ...]]:
    """Choose what is searched of one node: every area, or where they are too many eight neighbourhoods of them."""
    if len(indices) <= _AREA_LIMIT or search_size([items[index] for index in indices]) <= _SEARCH_LIMIT:
        return [(index,) for index in indices]
    size = -(-len(indices) // _AREA_LIMIT)
    return [tuple(indices[start : start + size]) for start in range(0, len(indices), size)]


def merged(indices: Sequence[int], items: Sequence[Item]) -> Item:
    return Item(
        node=items[indices[0]].node,
        caches=sum(items[index].caches for index in indices),
        stock=sum((items[index].stock for index in indices), Stock()),
    )


def _best_filling(problems: Sequence[Problem], whole: Outline, sockets: int) -> _Filling | None:
    fillings = [_Filling(0, 0, 0)]
    for node, problem in enumerate(problems):
        grown: list[_Filling] = []
        options = _options(problem)
        for before in fillings:
            for option in options:
                _keep(grown, _filled_further(before, node, option, sockets))
        fillings = grown
    fitting = [filling for filling in fillings if filling.low <= sockets <= filling.high]
    best = min(fitting, key=lambda filling: filling.cost, default=None)
    return None if best is None or best.cost >> (3 * TERM) > whole.least_price else best


def _options(problem: Problem) -> list[Grouping]:
    """List the ways to fill one node that none dominates; one that is used costs term 5."""
    options: list[Grouping] = []
    spans = candidates(problem)
    if problem.regime is Regime.PLENTY:
        # Any area may idle, so a group may as well hold no socket.
        spans = [span._replace(low=0) for span in spans]
    spans = useful(spans, problem.kinds)
    for areas, choices in groupings(spans, problem).items():
        if may_stop(areas, problem):
            options += [choice._replace(cost=choice.cost + bool(areas) * (1 << TERM)) for choice in choices]
    kept = [option for index, option in enumerate(options) if not _dominated(option, index, options)]
    # Of equals the first wins later on: the first nodes hold as much as they can.
    return sorted(kept, key=lambda option: -option.high)


def _dominated(option: Grouping, index: int, options: Sequence[Grouping]) -> bool:
    merits = option[:3]
    return any(
        other.cost <= option.cost
        and other.low <= option.low
        and other.high >= option.high
        and (other[:3] != merits or position < index)
        for position, other in enumerate(options)
    )


def _filled_further(before: _Filling, node: int, option: Grouping, sockets: int) -> _Filling:
    # Room beyond the guest's sockets is worth nothing; counting it would prefer larger nodes to the first ones.
    high = min(sockets, before.high + option.high)
    return _Filling(before.cost + option.cost, before.low + option.low, high, node, option, before)


def _keep(fillings: list[_Filling], new: _Filling) -> None:
    for other in fillings:
        if other.cost <= new.cost and other.low <= new.low and other.high >= new.high:
            return
    fillings[:] = [other for other in fillings if other.cost < new.cost or other.low < new.low or other.high > new.high]
    fillings.append(new)


def _groups(
    filling: _Filling, problems: Sequence[Problem], members: Sequence[Sequence[tuple[int, ...]]], sockets: int
) -> list[tuple[tuple[int, ...], int]]:
    """Name the items of each group, and hand out the sockets that the groups may hold beyond those they must."""
    groups: list[tuple[tuple[int, ...], int]] = []
    extra = sockets - filling.low
    for node, grouping in _steps(filling):
        spans = list(grouping.spans())
        for span, group in zip(spans, members_of([span.areas for span in spans], problems[node].kinds), strict=True):
            more = min(extra, span.high - span.low)
            extra -= more
            if span.low + more:
                groups.append((tuple(item for index in group for item in members[node][index]), span.low + more))
    return groups


def _steps(filling: _Filling) -> list[tuple[int, Grouping]]:
    """List the nodes with their groups, ascending."""
    steps: list[tuple[int, Grouping]] = []
    step: _Filling | None = filling
    while step is not None and step.grouping is not None:
        steps.append((step.node, step.grouping))
        step = step.before
    return steps[::-1]
