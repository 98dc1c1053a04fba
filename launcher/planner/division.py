"""Which areas share guest sockets: the exact search for terms 4 to 6, over groups of areas instead of placements.

Call areas connected where one guest socket uses both. A connected group of n nodes and m caches crosses at least
n - 1 nodes and m - 1 caches, and laying its sockets end to end along its areas crosses no more. So the least of
terms 4 and 6 is found by dividing the areas into groups, each of which holds a whole number of guest sockets;
neither the order of the sockets nor that of the CPUs need be searched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from launcher.planner.candidates import (
    TERM,
    Item,
    Kind,
    Problem,
    Span,
    candidates,
    outline,
    pose,
    search_size,
    useful,
)
from launcher.planner.crossing import Bounded, divide_across
from launcher.planner.effort import Effort, TooLong
from launcher.planner.forest import Plot, grow
from launcher.planner.grouping import Grouping, groupings, may_stop, members_of
from launcher.planner.joining import Joined, join_nodes, join_roughly
from launcher.planner.nodewise import fill_nodes
from launcher.planner.stock import Stock, bounds_of, regime_of
from launcher.vmi.guest import Topology

# Steps of the search for the nodes that share sockets: some hundredths of a second.
_EFFORT = 10_000
# Steps of each search for nodes that share sockets in a better way than those that were found one by one.
_ROUGH_EFFORT = 20_000
# Steps of the search for term 6 where every CPU is used: some hundredths of a second. Eight nodes of eight caches with
# random remainders mostly stay below.
_GROWING_EFFORT = 40_000
# Beyond this many pairs of areas and group (ten different areas have 59,049) the search would take seconds.
_EXACT_LIMIT = 60_000


class Group(Struct, frozen=True, kw_only=True):
    """Areas (indices of the items, ascending) that hold these many guest sockets together."""

    items: tuple[int, ...]
    sockets: int


class Division(Struct, frozen=True, kw_only=True):
    """The groups, and their cost: a number that compares as terms 1, 3, 4, 5 and 6 do in this order.

    Terms 1 and 3 are counted beyond the least there is: what is unavoidable is the same in every division.
    """

    cost: int
    groups: tuple[Group, ...]

    @property
    def promise(self) -> tuple[int, int, int]:
        """Terms 4, 5 and 6 as the cost has them; no placement on these areas does better."""
        field = (1 << TERM) - 1
        return self.cost >> (2 * TERM) & field, self.cost >> TERM & field, self.cost & field


def divide(items: Sequence[Item], topology: Topology) -> Division:
    """Divide the areas into groups so that terms 1, 3, 4, 5 and 6, in this order, are least for this guest.

    Exact where no cache spans nodes and the guest cores that must be split have at most two threads; else a lower
    bound with groups that come close. Nodes with one area each are divided exactly within the effort (sixteen nodes
    that all differ nearly always are), and more than ten different areas of fewer nodes roughly: each on its own where
    that does, else all as one group. The caller makes sure that there are CPUs enough.
    """
    division = divide_finely(items, topology)
    if division is not None:
        return division
    if one_to_a_node(items):
        found = divide_within(items, topology, len(items), Effort(steps=_EFFORT))
        if found is not None:
            return found
    if search_size(items) > _EXACT_LIMIT:
        return _divided_roughly(items, topology)
    problem = pose(items, topology, outline(items, topology))
    best = _search(useful(candidates(problem), problem.kinds), problem)
    if best is None:
        raise AssertionError("all areas together hold every guest socket")
    return _division(best, problem)


def divide_within(items: Sequence[Item], topology: Topology, most: int, effort: Effort) -> Division | None:
    """Divide nodes with one area each, like `divide`; None where term 4 passes `most`, or the effort ends before."""
    if effort.steps <= 0:
        return None
    division = divide_finely(items, topology, effort)
    if division is not None:
        return division if division.promise[0] <= most else None
    try:
        joined = join_nodes(items, topology, effort, most)
    except TooLong:
        return None
    return None if joined is None else _of_joined(joined, items, topology)


def one_to_a_node(items: Sequence[Item]) -> bool:
    """Tell whether no two areas lie on one node."""
    return len({item.node for item in items}) == len(items)


def _of_joined(joined: Sequence[Joined], items: Sequence[Item], topology: Topology) -> Division:
    groups = tuple(
        Group(items=group.items, sockets=sockets)
        for group, sockets in zip(
            joined, handed_out([(group.low, group.high) for group in joined], topology.sockets), strict=True
        )
    )
    used = sum(len(group.items) for group in groups)
    caches = sum(items[index].caches for group in groups for index in group.items)
    cost = (used - len(groups)) << (2 * TERM) | used << TERM | (caches - len(groups))
    return Division(cost=cost, groups=_ascending(groups))


def handed_out(bounds: Sequence[tuple[int, int]], sockets: int) -> list[int]:
    """Hand out the guest sockets: to each its least, and the others to the first ones up to their most."""
    counts = [low for low, _ in bounds]
    extra = sockets - sum(counts)
    for index, (low, high) in enumerate(bounds):
        counts[index] += min(extra, high - low)
        extra -= counts[index] - low
    return counts


def uses_every_cpu(items: Iterable[Item], topology: Topology) -> bool:
    """Tell whether the areas have no CPU that the vCPUs do not need."""
    return sum(item.stock.wholes * topology.threads + item.stock.looses for item in items) == topology.vcpus


def _divided_by_remainders(items: Sequence[Item], topology: Topology, effort: Effort) -> Division:
    """Divide areas that are used up. Terms 1 and 3 are the same whichever way."""
    by_node: dict[int, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        if item.stock != Stock():
            by_node[item.node].append(index)
    cpus = [item.stock.wholes * topology.threads + item.stock.looses for item in items]
    plots = [Plot(areas=tuple(found), cpus=tuple(cpus[i] for i in found)) for _, found in sorted(by_node.items())]
    socket_cpus = topology.cores * topology.threads
    groups = tuple(
        Group(items=group, sockets=sum(cpus[i] for i in group) // socket_cpus)
        for group in grow(plots, effort, socket_cpus=socket_cpus, threads=topology.threads)
    )
    node_crossings = sum(len({items[i].node for i in group.items}) - 1 for group in groups)
    cache_crossings = sum(sum(items[i].caches for i in group.items) - 1 for group in groups)
    return Division(cost=node_crossings << (2 * TERM) | len(plots) << TERM | cache_crossings, groups=groups)


def divide_finely(items: Sequence[Item], topology: Topology, effort: Effort | None = None) -> Division | None:
    """Divide as `divide` where the time grows with the nodes only; None where it would not.

    That is where every CPU is used (term 6 is then least within the effort), and where no guest socket has to lie on
    two nodes.
    """
    if uses_every_cpu(items, topology):
        return _divided_by_remainders(items, topology, effort or Effort(steps=_GROWING_EFFORT))
    filled = fill_nodes(items, topology)
    if filled is None:
        return None
    cost, groups = filled
    return Division(cost=cost, groups=_ascending(Group(items=found, sockets=sockets) for found, sockets in groups))


def divide_across_nodes(
    items: Sequence[Item], topology: Topology, nodewise: Sequence[Group], promise: tuple[int, int, int], effort: Effort
) -> Division | None:
    """Divide areas as `divide` where guest sockets cross nodes; see `crossing`.

    `nodewise` are groups of whole nodes with terms 4 and 5 as promised: each of them is divided by itself, and then it
    is looked for something better. None where guest cores cross nodes, or the effort does not suffice.
    """
    crossings, used, _ = promise
    first = _divided_groupwise(items, topology, nodewise, effort) if len(nodewise) > 1 else None
    below = None if first is None else first.promise[2]
    found = divide_across(items, topology, crossings, used, effort, below=below)
    return first if found is None else _of_bounded(found, topology.sockets, crossings, used)


def _of_bounded(found: tuple[int, Sequence[Bounded]], sockets: int, crossings: int, used: int) -> Division:
    cache_crossings, bounded = found
    counts = handed_out([(group.low, group.high) for group in bounded], sockets)
    groups = [Group(items=group.items, sockets=count) for group, count in zip(bounded, counts, strict=True)]
    return Division(cost=(crossings << TERM | used) << TERM | cache_crossings, groups=_ascending(groups))


def _divided_groupwise(items: Sequence[Item], topology: Topology, groups: Sequence[Group], effort: Effort) -> Division:
    cost = 0
    divided: list[Group] = []
    for group in groups:
        members, own = [items[index] for index in group.items], replace(topology, sockets=group.sockets)
        nodes = len({item.node for item in members})
        division = divide_finely(members, own)
        if division is None:
            undivided = Bounded(tuple(range(len(members))), group.sockets, group.sockets)
            found = divide_across(members, own, nodes - 1, nodes, effort) or (len(members) - 1, [undivided])
            division = _of_bounded(found, group.sockets, nodes - 1, nodes)
        cost += division.cost
        divided += [
            Group(items=tuple(group.items[index] for index in finer.items), sockets=finer.sockets)
            for finer in division.groups
        ]
    return Division(cost=cost, groups=_ascending(divided))


def _ascending(groups: Iterable[Group]) -> tuple[Group, ...]:
    return tuple(sorted(groups, key=lambda group: group.items))


def _divided_roughly(items: Sequence[Item], topology: Topology) -> Division:
    if one_to_a_node(items):
        return _of_joined(join_roughly(items, topology, Effort(steps=_ROUGH_EFFORT)), items, topology)
    regime = regime_of(sum((item.stock for item in items), Stock()), topology.sockets * topology.cores)
    bounds = [bounds_of((item.stock,), regime, topology.threads) for item in items]
    limits = [(-(-must // topology.cores), may // topology.cores) for must, may in bounds]
    fits_apart = all(low <= high for low, high in limits)
    if not fits_apart or not sum(low for low, _ in limits) <= topology.sockets <= sum(high for _, high in limits):
        everything = Group(items=tuple(range(len(items))), sockets=topology.sockets)
        return Division(cost=(len(items) - 1) << (2 * TERM), groups=(everything,))
    counts = handed_out(limits, topology.sockets)
    groups = tuple(Group(items=(index,), sockets=count) for index, count in enumerate(counts) if count)
    return Division(cost=len(groups) << TERM, groups=groups)


def _search(spans: Sequence[Span], problem: Problem) -> Grouping | None:
    """Find the cheapest disjoint groups that hold the sockets and idle no area which the regime uses throughout."""
    sockets = problem.topology.sockets
    found = [
        state._replace(cost=state.cost + (_nodes_used(areas, problem.kinds) << TERM))
        for areas, choices in groupings(spans, problem).items()
        if may_stop(areas, problem)
        for state in choices
        if state.low <= sockets <= state.high
    ]
    return min(found, key=lambda state: state.cost, default=None)


def _nodes_used(areas: int, kinds: Sequence[Kind]) -> int:
    if kinds[0].apart:
        return sum(kind.count(areas) for kind in kinds)
    return len({kind.node for kind in kinds if kind.count(areas)})


def _division(best: Grouping, problem: Problem) -> Division:
    spans = list(best.spans())
    counts = handed_out([(span.low, span.high) for span in spans], problem.topology.sockets)
    groups = tuple(
        Group(items=members, sockets=count)
        for members, count in zip(members_of([span.areas for span in spans], problem.kinds), counts, strict=True)
    )
    return Division(cost=best.cost - (problem.whole.least_price << (3 * TERM)), groups=_ascending(groups))
