"""The candidate groups of areas for the search in `division`: how many guest sockets each can hold, at what cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from launcher.planner.stock import Regime, Stock, bounds_of, by_node, least, regime_of, spread
from launcher.vmi.guest import Topology

# Areas of one kind are counted in one field of a packed integer; the top bit of a field guards the subtraction.
FIELD = 14
# The terms of a cost are fields of one integer, so that costs add and compare at once: from the highest, terms 1, 3,
# 4, 5 and 6. No term passes the 8,192 CPUs of the largest host.
TERM = 14


class Item(Struct, frozen=True, kw_only=True):
    """One area in the search: its node, the number of its last-level caches, and what it offers."""

    node: int
    caches: int
    stock: Stock


class Kind(Struct, frozen=True, kw_only=True):
    """Interchangeable items: equal stocks in one node, or one to a node each (`apart`)."""

    members: tuple[int, ...]
    node: int
    apart: bool
    caches: int
    stock: Stock
    unit: int

    def count(self, areas: int) -> int:
        """Read this kind's field of a packed integer."""
        return areas // self.unit & ((1 << FIELD) - 1)


class Span(NamedTuple):
    """A candidate group: its areas (packed counts), the sockets it can hold, and its cost whichever it holds."""

    areas: int
    low: int
    high: int
    cost: int


class Pile(NamedTuple):
    """Areas put together: their packed counts, the stock of each node, and how many caches."""

    areas: int
    nodes: tuple[Stock, ...]
    last_node: int | None
    caches: int


class Outline(Struct, frozen=True, kw_only=True):
    """What the guest's size means for all areas together.

    `least_price` is the least of terms 1 and 3 as the upper fields of a cost (term 3 without the vCPUs of whole guest
    cores beside housekeeping, which are the same everywhere). `surplus` is how many guest cores there are beyond those
    that the areas must hold, `waste` how many places without a price may stay empty; both in all groups together.
    """

    regime: Regime
    least_price: int
    surplus: int
    waste: int


class Problem(Struct, frozen=True, kw_only=True):
    """One search: every choice of some areas, the guest, and what its size means for all areas together."""

    kinds: tuple[Kind, ...]
    piles: tuple[Pile, ...]
    topology: Topology
    whole: Outline

    @property
    def regime(self) -> Regime:
        """The regime of all areas together."""
        return self.whole.regime


def kinds_of(items: Sequence[Item]) -> tuple[Kind, ...]:
    """Gather interchangeable items, sorted by node."""
    apart = len({item.node for item in items}) == len(items)
    members: dict[tuple[int, Stock, int], list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        members[0 if apart else item.node, item.stock, item.caches].append(index)
    return tuple(
        Kind(members=tuple(indices), node=node, apart=apart, caches=caches, stock=stock, unit=1 << (FIELD * position))
        for position, ((node, stock, caches), indices) in enumerate(sorted(members.items()))
    )


def search_size(items: Sequence[Item]) -> int:
    """Bound the pairs of used areas and candidate group that a search looks at; its time grows with them."""
    size = 1
    for kind in kinds_of(items):
        size *= (len(kind.members) + 1) * (len(kind.members) + 2) // 2
    return size


def outline(items: Sequence[Item], topology: Topology) -> Outline:
    """Find out what the guest's size means for these areas, all there are."""
    nodes = tuple(by_node((item.node, item.stock) for item in items).values())
    guest_cores = topology.sockets * topology.cores
    total = sum(nodes, Stock())
    regime = regime_of(total, guest_cores)
    must, may = bounds_of(nodes, regime, topology.threads)
    target = least(nodes, guest_cores, topology.threads)
    beside = target.vcpus_beside_housekeeping - topology.threads * total.whole_beside if regime is Regime.SPLIT else 0
    return Outline(
        regime=regime,
        least_price=target.cores_across_nodes << TERM | beside,
        surplus=guest_cores - must,
        waste=may - guest_cores,
    )


def pose(items: Sequence[Item], topology: Topology, whole: Outline) -> Problem:
    """Prepare the search for these items, which may be some of all."""
    kinds = kinds_of(items)
    return Problem(kinds=kinds, piles=tuple(_piles(kinds)), topology=topology, whole=whole)


def _piled(pile: Pile, kind: Kind) -> Pile:
    areas, caches = pile.areas + kind.unit, pile.caches + kind.caches
    if not kind.apart and pile.last_node == kind.node:
        return Pile(areas, (*pile.nodes[:-1], pile.nodes[-1] + kind.stock), kind.node, caches)
    return Pile(areas, (*pile.nodes, kind.stock), kind.node, caches)


def _piles(kinds: Sequence[Kind]) -> Iterator[Pile]:
    """Yield every non-empty choice of areas, all of them last; kinds are sorted by node, so it is summed once."""
    piles = [Pile(0, (), None, 0)]
    for kind in kinds:
        grown = piles
        for _ in kind.members:
            grown = [_piled(pile, kind) for pile in grown]
            yield from grown
            piles = piles + grown


def candidates(problem: Problem) -> list[Span]:
    """List the groups that can be part of a solution: none wastes more than all together may."""
    spans: list[Span] = []
    for pile in problem.piles:
        spans.extend(_spans(pile, problem))
    return spans


def _spans(pile: Pile, problem: Problem) -> Iterator[Span]:
    cores = problem.topology.cores
    must, may = bounds_of(pile.nodes, problem.regime, problem.topology.threads)
    low, high = max(1, -(-must // cores)), may // cores
    crossed = (len(pile.nodes) - 1) << (2 * TERM) | (pile.caches - 1)
    whole = problem.whole
    if whole.least_price:
        if low <= high:
            yield Span(pile.areas, low, high, crossed)
        yield from _priced_spans(pile, problem, must, max(low, high + 1), crossed)
    elif low <= high and may - high * cores <= whole.waste and _surplus(low, must, problem) <= whole.surplus:
        yield Span(pile.areas, low, high, crossed)


def _surplus(low: int, must: int, problem: Problem) -> int:
    """Count the guest cores beyond what the areas must hold; in plenty, where any may idle, nothing is counted."""
    return 0 if problem.regime is Regime.PLENTY else low * problem.topology.cores - must


def _priced_spans(pile: Pile, problem: Problem, wholes: int, first: int, crossed: int) -> Iterator[Span]:
    """Yield the numbers of sockets beyond those without a price, each at its price in terms 1 and 3."""
    topology = problem.topology
    looses = sum(stock.looses for stock in pile.nodes)
    last = (wholes * topology.threads + looses) // (topology.threads * topology.cores)
    for sockets in range(first, min(last, topology.sockets) + 1):
        split = spread(pile.nodes, sockets * topology.cores - wholes, topology.threads)
        price = split.across << TERM | split.beside
        if price <= problem.whole.least_price:
            yield Span(pile.areas, sockets, sockets, price << (3 * TERM) | crossed)


def useful(spans: Sequence[Span], kinds: Sequence[Kind]) -> list[Span]:
    """Leave out the groups which two smaller ones replace without loss: one area alone, and the others."""
    free = {span.areas: span for span in spans if not span.cost >> (3 * TERM)}
    return [span for span in spans if span.cost >> (3 * TERM) or not _replaceable(span, free, kinds)]


def _replaceable(span: Span, free: Mapping[int, Span], kinds: Sequence[Kind]) -> bool:
    for kind in kinds:
        alone, others = free.get(kind.unit), free.get(span.areas - kind.unit)
        if alone is None or others is None or not kind.count(span.areas):
            continue
        if alone.low + others.low <= span.low and span.high <= alone.high + others.high:
            return True
    return False
