"""Disjoint groups put together: every way to use up areas with candidate groups that no other way dominates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from launcher.planner.candidates import FIELD, Kind, Problem, Span
from launcher.planner.stock import Regime, Stock


class Grouping(NamedTuple):
    """Disjoint groups that use up some areas, linked: the newest group and what was there before it."""

    cost: int
    low: int
    high: int
    span: Span | None = None
    before: Grouping | None = None

    def spans(self) -> Iterator[Span]:
        """Yield the groups, newest first."""
        step: Grouping | None = self
        while step is not None and step.span is not None:
            yield step.span
            step = step.before


def groupings(spans: Sequence[Span], problem: Problem) -> dict[int, list[Grouping]]:
    """Collect, for every choice of areas that groups can use up exactly, the ways to do so that none dominates."""
    guards = sum(kind.unit << (FIELD - 1) for kind in problem.kinds)
    starting: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        starting[_lowest_unit(span.areas)].append(span)
    found: dict[int, list[Grouping]] = {0: [Grouping(0, 0, 0)]}
    for areas in sorted(pile.areas for pile in problem.piles):
        choices: list[Grouping] = []
        for span in starting[_lowest_unit(areas)]:
            if ((areas | guards) - span.areas) & guards == guards:
                for before in found.get(areas - span.areas, ()):
                    _keep(choices, before, span)
        if choices:
            found[areas] = choices
    return found


def _lowest_unit(areas: int) -> int:
    """Return the unit of the first kind present: a group is chosen for that one, so each division is met once."""
    lowest = (areas & -areas).bit_length() - 1
    return 1 << (lowest // FIELD * FIELD)


def _keep(choices: list[Grouping], before: Grouping, span: Span) -> None:
    cost, low, high = before.cost + span.cost, before.low + span.low, before.high + span.high
    for other in choices:
        if other.cost <= cost and other.low <= low and other.high >= high:
            return
    choices[:] = [other for other in choices if other.cost < cost or other.low < low or other.high > high]
    choices.append(Grouping(cost, low, high, span, before))


def may_stop(areas: int, problem: Problem) -> bool:
    """Tell whether the areas that these leave out may idle, all of them."""
    return all(may_idle(kind.stock, problem.regime) or kind.count(areas) == len(kind.members) for kind in problem.kinds)


def may_idle(stock: Stock, regime: Regime) -> bool:
    """Tell whether the terms before 4 allow that an area with this stock stays empty."""
    match regime:
        case Regime.PLENTY:
            return True
        case Regime.BESIDE:
            return not stock.whole
        case Regime.SPLIT:
            return not stock.wholes


def members_of(groups: Iterable[int], kinds: Sequence[Kind]) -> list[tuple[int, ...]]:
    """Choose the items of each group (packed counts), of each kind the first ones that are left."""
    left = {kind: list(kind.members) for kind in kinds}
    return [tuple(sorted(left[kind].pop(0) for kind in kinds for _ in range(kind.count(areas)))) for areas in groups]
