"""From areas to settled groups: terms 1 to 3 by price, 4 and 5 over the nodes, 6 over the areas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from launcher.planner.optimum.areas import divide_areas
from launcher.planner.optimum.ground import Ground
from launcher.planner.optimum.groups import Market, Settled
from launcher.planner.optimum.nodes import divide_nodes
from launcher.planner.optimum.supply import Area
from launcher.planner.optimum.survey import dislike, survey
from launcher.vmi.guest import Topology


class Division(Struct, frozen=True, kw_only=True):
    """The groups and the housekeeping, terms 4 to 6 of them, and how many terms the search has shown to be least.

    The market has the least price.
    """

    settled: Settled
    terms: tuple[int, int, int]
    sure: int
    market: Market


def divide(areas: Sequence[Area], topology: Topology, housekeeping: int, most: Mapping[int, int]) -> Division | None:
    """Divide the areas into groups with the least terms 1 to 6; `most` and None as `survey` has them."""
    ground = survey(areas, topology, housekeeping, most)
    if ground is None:
        return None
    nodes = divide_nodes(ground)
    dislike(ground, _load(ground, nodes.settled))
    settled, is_least = divide_areas(ground, nodes)
    return Division(
        settled=settled,
        terms=(nodes.crossings, nodes.used, ground.crossed_by(settled)),
        market=ground.plain,
        sure=3 if not nodes.is_least else 6 if is_least else 5,
    )


def _load(ground: Ground, rough: Settled) -> Mapping[int, int]:
    """Estimate the vCPUs of each node, in proportion where several share sockets; exact where none do."""
    load: Counter[int] = Counter()
    for group, sockets in rough.groups:
        total = sum(ground.high[index] for index in group)
        for index in group:
            load[ground.areas[index].node] += 1000 * sockets * ground.market.socket * ground.high[index] // total
    return load
