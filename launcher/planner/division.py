"""Which areas share guest sockets: the exact search for terms 4 to 6, over groups of areas instead of placements.

Call areas connected where one guest socket uses both. A connected group of n nodes and m caches crosses at least
n - 1 nodes and m - 1 caches, and laying its sockets end to end along its areas crosses no more. So the least of
terms 4 and 6 is found by dividing the areas into groups, each of which holds a whole number of guest sockets;
neither the order of the sockets nor that of the CPUs need be searched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from launcher.planner.stock import Regime, Stock, least, regime_of, spread
from launcher.vmi.guest import Topology

# Areas of one kind are counted in one field of a packed integer; the top bit of a field guards the subtraction.
_FIELD = 14
# The terms of a cost are fields of one integer, so that costs add and compare at once. No term passes the 8,192
# CPUs of the largest host.
_TERM = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One area in the search: its node, the number of its last-level caches, and what it offers."""

    node: int
    caches: int
    stock: Stock


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """Interchangeable items: equal stocks in one node, or one to a node each (`apart`)."""

    members: tuple[int, ...]
    node: int
    apart: bool
    caches: int
    stock: Stock
    unit: int


class _Span(NamedTuple):
    """A candidate group: its areas (packed counts), the sockets it can hold, and its cost whichever it holds."""

    areas: int
    low: int
    high: int
    cost: int


class _State(NamedTuple):
    """Disjoint groups that use up some areas, linked: the newest group and what was there before it."""

    cost: int
    low: int
    high: int
    span: _Span | None = None
    before: _State | None = None


class _Pile(NamedTuple):
    """Areas on their way to be a candidate group: the stock of each node, and how many caches."""

    areas: int
    nodes: tuple[Stock, ...]
    last_node: int | None
    caches: int


def search_size(items: Sequence[Item]) -> int:
    """Bound the pairs of used areas and candidate group that `divide` looks at; its time grows with them."""
    size = 1
    for kind in _kinds(items):
        size *= (len(kind.members) + 1) * (len(kind.members) + 2) // 2
    return size


def divide(items: Sequence[Item], topology: Topology) -> Division:
    """Divide the areas into groups so that terms 1, 3, 4, 5 and 6, in this order, are least for this guest.

    Exact where no cache spans nodes and the guest cores that must be split have at most two threads; else a lower
    bound with groups that come close. The caller makes sure that there are CPUs enough.
    """
    kinds = _kinds(items)
    spans = _candidates(kinds, topology)
    idle_allowed = _idle_allowed(kinds, topology)
    single = _search([span for span in spans if not _nodes_crossed(span)], kinds, topology.sockets, idle_allowed)
    if single is not None and single.cost >> (3 * _TERM) == _least_cost(kinds, topology):
        return _division(single, kinds, topology.sockets)
    best = _search(_useful(spans, kinds), kinds, topology.sockets, idle_allowed)
    if best is None:
        raise AssertionError("all areas together hold every guest socket")
    return _division(best, kinds, topology.sockets)


def _kinds(items: Sequence[Item]) -> tuple[_Kind, ...]:
    apart = len({item.node for item in items}) == len(items)
    members: dict[tuple[int, Stock, int], list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        members[0 if apart else item.node, item.stock, item.caches].append(index)
    return tuple(
        _Kind(members=tuple(indices), node=node, apart=apart, caches=caches, stock=stock, unit=1 << (_FIELD * position))
        for position, ((node, stock, caches), indices) in enumerate(sorted(members.items()))
    )


def _total(kinds: Iterable[_Kind]) -> Stock:
    return sum((kind.stock for kind in kinds for _ in kind.members), Stock())


def _regime(kinds: Sequence[_Kind], topology: Topology) -> Regime:
    return regime_of(_total(kinds), topology.sockets * topology.cores)


def _least_cost(kinds: Sequence[_Kind], topology: Topology) -> int:
    """Compute terms 1 and 3 at their least, as the upper fields of a cost (term 3 without its constant part)."""
    if _regime(kinds, topology) is not Regime.SPLIT:
        return 0
    everything = _whole_pile(kinds)
    target = least(everything.nodes, topology.sockets * topology.cores, topology.threads)
    beside = target.vcpus_beside_housekeeping - topology.threads * _total(kinds).whole_beside
    return target.cores_across_nodes << _TERM | beside


def _idle_allowed(kinds: Sequence[_Kind], topology: Topology) -> frozenset[_Kind]:
    """Name the kinds that may stay unused: those without a place which the regime uses throughout."""
    match _regime(kinds, topology):
        case Regime.PLENTY:
            return frozenset(kinds)
        case Regime.BESIDE:
            return frozenset(kind for kind in kinds if not kind.stock.whole)
        case Regime.SPLIT:
            return frozenset(kind for kind in kinds if not kind.stock.wholes)


def _whole_pile(kinds: Sequence[_Kind]) -> _Pile:
    pile = _Pile(0, (), None, 0)
    for kind in kinds:
        for _ in kind.members:
            pile = _piled(pile, kind)
    return pile


def _piled(pile: _Pile, kind: _Kind) -> _Pile:
    areas, caches = pile.areas + kind.unit, pile.caches + kind.caches
    if not kind.apart and pile.last_node == kind.node:
        return _Pile(areas, (*pile.nodes[:-1], pile.nodes[-1] + kind.stock), kind.node, caches)
    return _Pile(areas, (*pile.nodes, kind.stock), kind.node, caches)


def _piles(kinds: Sequence[_Kind]) -> Iterator[_Pile]:
    """Yield every non-empty choice of areas; the kinds are sorted by node, so a node's stock is summed in passing."""
    piles = [_Pile(0, (), None, 0)]
    for kind in kinds:
        grown = piles
        for _ in kind.members:
            grown = [_piled(pile, kind) for pile in grown]
            yield from grown
            piles = piles + grown


def _candidates(kinds: Sequence[_Kind], topology: Topology) -> list[_Span]:
    regime = _regime(kinds, topology)
    priced = bool(_least_cost(kinds, topology))
    spans: list[_Span] = []
    for pile in _piles(kinds):
        spans.extend(_spans(pile, regime, topology, priced=priced))
    return spans


def _spans(pile: _Pile, regime: Regime, topology: Topology, *, priced: bool) -> Iterator[_Span]:
    """Yield the numbers of sockets which this group may hold without wasting what the regime uses throughout."""
    cores, threads = topology.cores, topology.threads
    crossed = (len(pile.nodes) - 1) << (2 * _TERM) | (pile.caches - 1)
    whole = sum(stock.whole for stock in pile.nodes)
    wholes = whole + sum(stock.whole_beside for stock in pile.nodes)
    if regime is Regime.PLENTY:
        low, high = 1, whole // cores
    elif regime is Regime.BESIDE:
        low, high = max(1, -(-whole // cores)), wholes // cores
    else:
        free = sum(stock.loose // threads for stock in pile.nodes)
        low, high = max(1, -(-wholes // cores)), (wholes + free) // cores
    if low <= high:
        yield _Span(pile.areas, low, high, crossed)
    if priced:
        yield from _priced_spans(pile, wholes, max(low, high + 1), crossed, topology)


def _priced_spans(pile: _Pile, wholes: int, first: int, crossed: int, topology: Topology) -> Iterator[_Span]:
    """Yield the numbers of sockets beyond those, each at its price in terms 1 and 3."""
    looses = sum(stock.looses for stock in pile.nodes)
    last = (wholes * topology.threads + looses) // (topology.threads * topology.cores)
    for sockets in range(first, min(last, topology.sockets) + 1):
        split = spread(pile.nodes, sockets * topology.cores - wholes, topology.threads)
        price = split.across << _TERM | split.beside
        yield _Span(pile.areas, sockets, sockets, price << (3 * _TERM) | crossed)


def _nodes_crossed(span: _Span) -> int:
    return span.cost >> (2 * _TERM) & ((1 << _TERM) - 1)


def _useful(spans: Sequence[_Span], kinds: Sequence[_Kind]) -> list[_Span]:
    """Leave out the groups which two smaller ones replace without loss: one area alone, and the others."""
    free = {span.areas: span for span in spans if not span.cost >> (3 * _TERM)}
    return [span for span in spans if not _replaceable(span, free, kinds)]


def _replaceable(span: _Span, free: Mapping[int, _Span], kinds: Sequence[_Kind]) -> bool:
    if span.cost >> (3 * _TERM):
        return False
    for kind in kinds:
        if not _count(span.areas, kind) or span.areas == kind.unit:
            continue
        alone, others = free.get(kind.unit), free.get(span.areas - kind.unit)
        if alone and others and alone.low + others.low <= span.low and span.high <= alone.high + others.high:
            return True
        if others and kind.stock == Stock() and (others.low, others.high) == (span.low, span.high):
            return True
    return False


def _count(areas: int, kind: _Kind) -> int:
    return areas // kind.unit & ((1 << _FIELD) - 1)


def _search(
    spans: Sequence[_Span], kinds: Sequence[_Kind], sockets: int, idle_allowed: frozenset[_Kind]
) -> _State | None:
    """Find the cheapest disjoint groups that hold the sockets, by the areas they use up; cheapest first in ties."""
    states = _reachable(spans, kinds)
    found = [
        state._replace(cost=state.cost + (_nodes_used(areas, kinds) << _TERM))
        for areas, choices in states.items()
        if _may_idle(areas, kinds, idle_allowed)
        for state in choices
        if state.low <= sockets <= state.high
    ]
    return min(found, key=lambda state: state.cost, default=None)


def _reachable(spans: Sequence[_Span], kinds: Sequence[_Kind]) -> dict[int, list[_State]]:
    """Collect, for every choice of areas that groups can use up exactly, the ways to do so that none dominates."""
    guards = sum(kind.unit << (_FIELD - 1) for kind in kinds)
    starting: dict[int, list[_Span]] = defaultdict(list)
    for span in spans:
        starting[_lowest_unit(span.areas)].append(span)
    states: dict[int, list[_State]] = {0: [_State(0, 0, 0)]}
    for areas in sorted(pile.areas for pile in _piles(kinds)):
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
    return 1 << (lowest // _FIELD * _FIELD)


def _keep(choices: list[_State], before: _State, span: _Span) -> None:
    cost, low, high = before.cost + span.cost, before.low + span.low, before.high + span.high
    for other in choices:
        if other.cost <= cost and other.low <= low and other.high >= high:
            return
    choices[:] = [other for other in choices if other.cost < cost or other.low < low or other.high > high]
    choices.append(_State(cost, low, high, span, before))


def _nodes_used(areas: int, kinds: Sequence[_Kind]) -> int:
    if kinds[0].apart:
        return sum(_count(areas, kind) for kind in kinds)
    return len({kind.node for kind in kinds if _count(areas, kind)})


def _may_idle(areas: int, kinds: Sequence[_Kind], idle_allowed: frozenset[_Kind]) -> bool:
    return all(kind in idle_allowed or _count(areas, kind) == len(kind.members) for kind in kinds)


def _division(state: _State, kinds: Sequence[_Kind], sockets: int) -> Division:
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
        members = sorted(left[kind].pop(0) for kind in kinds for _ in range(_count(span.areas, kind)))
        groups.append(Group(items=tuple(members), sockets=span.low + more))
    return Division(cost=state.cost, groups=tuple(sorted(groups, key=lambda group: group.items)))
