"""Mending: where the search for term 6 has ended by its effort, a few groups at a time are divided anew."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain, combinations, product

from launcher.planner.optimum.carve import carved
from launcher.planner.optimum.effort import Effort
from launcher.planner.optimum.ground import Ground, tried
from launcher.planner.optimum.groups import Settled
from launcher.planner.optimum.states import Goal

# The efforts: in all, and for dividing some groups once, on so many areas; and what preparing that counts as.
_EFFORT = 60_000
_ONCE = 4_000
_AREAS = 20
_STEPS = 60


def mended(best: Settled, ground: Ground) -> Settled:
    """Divide a few groups at a time anew, as long as that makes the whole better and the effort does."""
    effort = ground.effort(_EFFORT)
    best = _mended(best, ground, effort)
    smaller = carved(best, ground, effort)
    return best if smaller is best else _mended(smaller, ground, effort)


def _mended(best: Settled, ground: Ground, effort: Effort) -> Settled:
    waiting = _neighbourhoods(best, ground)
    while effort.steps > 0:
        some = next(waiting, None)
        if some is None:
            break
        found = _mended_once(best, *some, ground, effort)
        if found is not None:
            best, waiting = found, _neighbourhoods(found, ground)
    return best


def _neighbourhoods(settled: Settled, ground: Ground) -> Iterator[tuple[tuple[int, ...], Collection[int]]]:
    """Yield groups that are divided together, and the nodes on which: theirs, or another one in place of one."""
    nodes = [ground.nodes_of(group) for group, _ in settled.groups]
    indices = range(len(nodes))
    free = set(ground.nodes()).difference(*nodes)
    for size in (2, 3):
        for some in combinations(indices, size):
            yield some, set().union(*(nodes[index] for index in some))
    across = [index for index in indices if len(nodes[index]) > 1]
    for some in chain(combinations(indices, 1), combinations(indices, 2), combinations(across, 3)):
        used = set[int]().union(*(nodes[index] for index in some))
        own = used.difference(*(nodes[index] for index in indices if index not in some))
        for old, new in product(sorted(own), sorted(free)):
            yield some, used - {old} | {new}


def _mended_once(
    best: Settled, some: Collection[int], nodes: Collection[int], ground: Ground, effort: Effort
) -> Settled | None:
    chosen = [best.groups[index] for index in some]
    crossed = ground.crossed(group for group, _ in chosen)
    others = [group for index, (group, _) in enumerate(best.groups) if index not in some]
    used = {area for group in others for area in group}
    areas = tuple(area for node in sorted(nodes) for area in ground.of_node(node) if area not in used)
    if not crossed or len(areas) > _AREAS:
        return None
    effort.charge(_STEPS)
    reserved = sum(best.reservations[area].cpus for area in areas)
    found = ground.part(areas, sum(count for _, count in chosen), reserved)
    if found is None or found[0].least() >= crossed:
        return None
    goal = Goal(crossed - 1, sum(len(ground.nodes_of(group)) - 1 for group, _ in chosen))
    own = Effort(steps=_ONCE)
    better, _ = tried(found[0], goal, own, 1)
    effort.charge(_ONCE - own.steps)
    settled = better and ground.market.settle([*others, *(group for group, _ in better.groups)])
    return settled if settled and ground.crossed_by(settled) < ground.crossed_by(best) else None
