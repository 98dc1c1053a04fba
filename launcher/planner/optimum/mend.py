"""Mending: where the search for term 6 has ended by its effort, a few groups at a time are divided anew."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import chain, combinations, islice, product

from launcher.planner.optimum.ground import Ground, tried
from launcher.planner.optimum.groups import Settled
from launcher.planner.optimum.states import Effort, Goal

# The efforts: in all, and for dividing some groups, or one, once, on so many areas; what preparing that, and settling,
# count as.
_EFFORT = 60_000
_ONCE = 4_000
_AREAS = 20
_ALONE = 24
_PREPARING = 60
_SETTLING = 500
# Choices of areas for one guest socket that are looked at.
_LOOKED_AT = 1_000


def mended(best: Settled, ground: Ground) -> Settled:
    """Divide a few groups at a time anew, as long as that makes the whole better and the effort does."""
    effort = ground.effort(_EFFORT)
    found: Settled | None = best
    while found is not None:
        best = found
        groups = _divided_anew(best, ground, effort)
        anew = chain(groups, _carved(best, ground, effort), _alone(best, ground, effort))
        found = next((one for one in anew if one and ground.crossed_by(one) < ground.crossed_by(best)), None)
    return best


def _divided_anew(best: Settled, ground: Ground, effort: Effort) -> Iterator[Settled | None]:
    """Divide groups together, on their nodes, or on another one in place of one of these."""
    nodes = [ground.nodes_of(group) for group, _ in best.groups]
    indices = range(len(nodes))
    free = set(ground.of_node).difference(*nodes)
    for size in (2, 3):
        for some in combinations(indices, size):
            yield _together(best, some, set().union(*(nodes[index] for index in some)), ground, effort)
    across = [index for index in indices if len(nodes[index]) > 1]
    for some in chain(combinations(indices, 1), combinations(indices, 2), combinations(across, 3)):
        used = set[int]().union(*(nodes[index] for index in some))
        own = used.difference(*(nodes[index] for index in indices if index not in some))
        for old, new in product(sorted(own), sorted(free)):
            yield _together(best, some, used - {old} | {new}, ground, effort)


def _alone(best: Settled, ground: Ground, effort: Effort) -> Iterator[Settled | None]:
    """Divide one group with the areas of its nodes that no other has: there may be larger ones."""
    for index, (group, _) in enumerate(best.groups):
        yield _together(best, (index,), ground.nodes_of(group), ground, effort, most=_ALONE)


def _together(
    best: Settled, some: Collection[int], nodes: Collection[int], ground: Ground, effort: Effort, *, most: int = _AREAS
) -> Settled | None:
    chosen = [best.groups[index] for index in some]
    if effort.steps <= 0 or sum([ground.areas[area].node in nodes for group, _ in chosen for area in group]) > most:
        return None
    crossed = ground.crossed(group for group, _ in chosen)
    if not crossed:
        return None
    others = [group for index, (group, _) in enumerate(best.groups) if index not in some]
    areas = ground.areas_on(nodes, others)
    if len(areas) > most:
        return None
    effort.charge(_PREPARING)
    reserved = sum(best.reservations[area].cpus for area in areas)
    search = ground.search_part(areas, sum(count for _, count in chosen), reserved)
    if search.least() >= crossed:
        return None
    goal = Goal(crossed - 1, sum(len(ground.nodes_of(group)) - 1 for group, _ in chosen))
    own = Effort(steps=_ONCE)
    better, _ = tried(search, goal, own, 1)
    effort.charge(_ONCE - own.steps)
    return better and ground.market.settle([*others, *(group for group, _ in better.groups)])


def _carved(best: Settled, ground: Ground, effort: Effort) -> Iterator[Settled | None]:
    """Let a group give up one of its guest sockets, to the fewest areas of a node that leave the least over."""
    size, high = ground.market.socket, ground.high
    for index, (group, sockets) in enumerate(best.groups):
        others = [other for other, _ in (*best.groups[:index], *best.groups[index + 1 :])]
        here = ground.areas_on(ground.nodes_of(group), others)
        for node in sorted(ground.nodes_of(group)) if sockets > 1 else ():
            members = sorted((area for area in here if ground.areas[area].node == node), key=lambda area: -high[area])
            highs = [high[area] for area in members]
            count = next((count for count in range(1, len(members)) if sum(highs[:count]) >= size), 0)
            if count and effort.steps > 0:
                effort.charge(_SETTLING)
                own = min(_holding(size, members, count, high), key=lambda own: sum(high[area] for area in own))
                rest = tuple(area for area in here if area not in own)
                yield ground.market.settle([*others, own, rest])


def _holding(size: int, areas: Sequence[int], count: int, high: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield choices of so many areas that hold a guest socket."""
    choices = islice(combinations(areas, count), _LOOKED_AT)
    return (own for own in choices if sum(high[area] for area in own) >= size)
