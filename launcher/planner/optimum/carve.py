"""Carving: a group that holds several guest sockets gives up one at a time, each to a few areas of one node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, islice

from launcher.planner.optimum.effort import Effort
from launcher.planner.optimum.ground import Ground
from launcher.planner.optimum.groups import Settled

# Choices of areas that are looked at on one node, and those of all nodes that are settled.
_LOOKED_AT = 1_000
_SETTLED = 8
# What settling once counts as.
_STEPS = 500


def carved(best: Settled, ground: Ground, effort: Effort) -> Settled:
    """Carve guest sockets off as long as that makes the whole better and the effort does."""
    while effort.steps > 0:
        better = min(_carved_once(best, ground, effort), key=ground.crossed_by, default=best)
        if ground.crossed_by(better) >= ground.crossed_by(best):
            break
        best = better
    return best


def _carved_once(best: Settled, ground: Ground, effort: Effort) -> Iterator[Settled]:
    groups = [group for group, _ in best.groups]
    for index, (group, sockets) in enumerate(best.groups):
        others = groups[:index] + groups[index + 1 :]
        used = {area for other in others for area in other}
        here = [area for node in sorted(ground.nodes_of(group)) for area in ground.of_node(node) if area not in used]
        for own in _for_one_socket(here, ground) if sockets > 1 else ():
            if effort.steps <= 0:
                return
            effort.charge(_STEPS)
            rest = tuple(area for area in here if area not in own)
            settled = ground.market.settle([*others, own, rest])
            if settled is not None and len(settled.groups) > len(groups):
                yield settled


def _for_one_socket(areas: Sequence[int], ground: Ground) -> list[tuple[int, ...]]:
    """List areas of one node that hold a guest socket, the fewest and those that leave least over first."""
    found = [own for node in sorted(ground.nodes_of(areas)) for own in _of_node(node, areas, ground)]
    return sorted(found, key=lambda own: (len(own), sum(ground.high[area] for area in own)))[:_SETTLED]


def _of_node(node: int, areas: Sequence[int], ground: Ground) -> Iterator[tuple[int, ...]]:
    size, high = ground.market.socket, ground.high
    members = sorted((area for area in areas if ground.areas[area].node == node), key=lambda area: -high[area])
    for count in range(1, len(members)):
        if sum(high[area] for area in members[:count]) >= size:
            choices = islice(combinations(members, count), _LOOKED_AT)
            yield from (own for own in choices if sum(high[area] for area in own) >= size)
            return
