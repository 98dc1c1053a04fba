"""Terms 4 and 5: which nodes the guest uses, and which of them share guest sockets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, islice
from math import comb

from msgspec import Struct

from launcher.planner.optimum.ground import Ground, tried
from launcher.planner.optimum.groups import Settled
from launcher.planner.optimum.prospects import fewest
from launcher.planner.optimum.search import Search
from launcher.planner.optimum.states import Effort, Goal, Item

# The effort of the search, and the sets of nodes that are searched one by one.
_EFFORT = 40_000
SETS = 70
_LOOKED_AT = 3_000


class Nodes(Struct, frozen=True, kw_only=True):
    """Groups of whole nodes, terms 4 and 5 of them, and whether less was excluded."""

    settled: Settled
    crossings: int
    used: int
    is_least: bool


def divide_nodes(ground: Ground) -> Nodes:
    """Find the groups of nodes with the least terms 4 and 5."""
    items = ground.node_items()
    needed = fewest(items, ground.topology.vcpus - ground.extra), sum(1 for item in items if item.low)
    least, effort, is_least = max(1, *needed), Effort(steps=_EFFORT), True
    sockets, searches = ground.topology.sockets, dict[int, list[tuple[int, Search]]]()
    for crossings in range(max(0, least - sockets), len(items)):
        for count in range(least, min(len(items), sockets + crossings) + 1):
            if count not in searches:
                sets = candidates(ground, items, count)
                found_searches = [ground.search_nodes(chosen, ground.plain) for chosen in sets]
                # Of several sets of nodes another would be found first, as good by terms 4 and 5 and maybe not by 6.
                if len(found_searches) == 1:
                    found_searches[0].look_at_choices()
                searches[count] = [(search.least(), search) for search in found_searches]
            for bound, search in searches[count]:
                if bound > crossings:
                    continue
                found, ended = tried(search, Goal(crossings, 0, count), effort, 3)
                if found is not None:
                    return _nodes(ground, found, is_least=is_least)
                is_least = is_least and ended
    return _descended(ground, items)


def _descended(ground: Ground, items: Sequence[Item]) -> Nodes:
    """Begin with one group of all nodes, and look for fewer crossings, then for fewer nodes, as long as that is found.

    That is where the effort from the least up was not enough.
    """
    ground.plain.effort = Effort()
    whole = ground.plain.settle([tuple(range(len(ground.areas)))])
    if whole is None:
        raise AssertionError("all areas together hold the guest")
    best, effort = _nodes(ground, whole, is_least=False), Effort(steps=_EFFORT)
    everything = sorted(items, key=lambda item: (item.high, -item.number))
    search = ground.search_nodes(everything, ground.plain)
    for fewer_crossings, fewer_nodes in ((1, 0), (0, 1)):
        found: Settled | None = best.settled
        while found is not None:
            goal = Goal(best.crossings - fewer_crossings, 0, best.used - fewer_nodes)
            found, _ = tried(search, goal, effort, 3)
            best = best if found is None else _nodes(ground, found, is_least=False)
    return best


def _nodes(ground: Ground, settled: Settled, *, is_least: bool) -> Nodes:
    groups = [ground.nodes_of(group) for group, _ in settled.groups]
    crossings, used = sum(len(nodes) - 1 for nodes in groups), len(set().union(*groups))
    return Nodes(settled=settled, crossings=crossings, used=used, is_least=is_least)


def set_count(items: Sequence[Item], count: int) -> int:
    """Count the sets of so many nodes, all of which have those that must be used."""
    may = sum(1 for item in items if not item.low)
    return comb(may, max(0, count - len(items) + may))


def candidates(ground: Ground, items: Sequence[Item], count: int) -> Iterator[Sequence[Item]]:
    """Yield the sets of so many nodes; all nodes at once where they are many."""
    if set_count(items, count) > SETS:
        yield sorted(items, key=lambda item: (item.high, -item.number))
        return
    yield from node_sets(ground, items, count)


def node_sets(ground: Ground, items: Sequence[Item], count: int) -> Iterator[list[Item]]:
    """Yield sets of so many nodes that may hold the guest, of many only the first."""
    must, may = [item for item in items if item.low], [item for item in items if not item.low]
    for chosen in islice(combinations(may, max(0, count - len(must))), _LOOKED_AT):
        members = sorted([*must, *chosen], key=lambda item: item.number)
        if len(members) == count and sum(item.high for item in members) + ground.extra >= ground.topology.vcpus:
            yield members
