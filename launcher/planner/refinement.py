"""From nodes to last-level caches: the housekeeping inside the nodes, and the groups of areas, by term 6."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice, product
from typing import NamedTuple

from launcher.planner.candidates import TERM, Item, search_size
from launcher.planner.choosing import CLASS_LIMIT, Choice, cpus_left, items_of, plain_items
from launcher.planner.division import Division, Group, divide_across_nodes, divide_finely, uses_every_cpu
from launcher.planner.effort import Effort
from launcher.planner.fitting import all_options, fitting, loosest_items
from launcher.planner.remainders import alone_or_paired
from launcher.planner.reserve import Reservation, combinations, reservations
from launcher.planner.shelf import refined
from launcher.planner.stock import Stock
from launcher.planner.supply import Area
from launcher.vmi.guest import Topology

# Choices of caches for the housekeeping, times areas, that are looked at where every CPU is used: 100 for 16 areas.
_CHOICE_WORK = 1_600
# Steps of the searches for term 6 where every CPU is used, all together: some hundredths of a second.
_EFFORT = 8_000
# Steps of the searches for term 6 where CPUs are left over and sockets cross nodes, all together: a tenth of a second.
_CROSSING_EFFORT = 9_000
# Choices of caches for the housekeeping where CPUs are left over: each of the eight of one node, for one CPU.
_SPARE_LIMIT = 8
# Such choices times pairs of areas and group inside each node, and what two nodes cost beside.
_SPARE_WORK = 6_000
_NODE_WORK = 5


class _Candidate(NamedTuple):
    """A choice for every area, in the order to be looked at: the bound of its cost first."""

    bound: int
    order: int
    reservations: tuple[Reservation, ...]


def refine(nodes: Sequence[Area], ranked: Sequence[Choice], topology: Topology) -> list[Choice]:
    """Rank the choices of areas for the housekeeping that the best choices of nodes leave, the best in term 6 first.

    The areas are those of the nodes in their order, by cache. Where every CPU is used all choices are compared, or
    ruled out by a bound of their cost, within the limits of this module; else a few. None are returned where that is
    not quickly searched.
    """
    least_cost = ranked[0].division.cost >> TERM
    tied = [choice for choice in ranked if choice.division.cost >> TERM == least_cost]
    areas = [fine for node in nodes for fine in refined(node)]
    if uses_every_cpu(items_of(nodes, tied[0].reservations), topology):
        return _used_up(areas, _candidates(nodes, areas, tied, topology), topology)
    return _beside_spare(nodes, areas, tied, topology)


def _beside_spare(
    nodes: Sequence[Area], areas: Sequence[Area], tied: Sequence[Choice], topology: Topology
) -> list[Choice]:
    """Take the housekeeping of what the best division leaves, or where that does not do compare a few choices."""
    effort = Effort(steps=_CROSSING_EFFORT)
    options = all_options(areas, topology, sum(option.cpus for option in tied[0].reservations))
    finer = next(_finer(nodes, tied, topology))
    nodewise = _by_area(nodes, tied[0].division)
    loosest = _divided(loosest_items(areas, options, finer, topology), topology, nodewise, effort)
    if loosest is not None:
        for chosen in fitting(areas, options, finer, loosest, topology):
            return [Choice(reservations=chosen, division=loosest)]
    choices = []
    for chosen in islice(_finer(nodes, tied[:1], topology), _spare_limit(areas, topology)):
        division = _divided(items_of(areas, chosen), topology, nodewise, effort)
        if division is not None:
            choices.append(Choice(reservations=chosen, division=division))
        if effort.steps <= 0:
            break
    return sorted(choices, key=lambda choice: choice.division.cost)


def _by_area(nodes: Sequence[Area], division: Division) -> Division:
    """Name the areas of the nodes instead of the nodes."""
    count = 0
    areas: list[tuple[int, ...]] = []
    for node in nodes:
        areas.append(tuple(range(count, count + len(node.caches))))
        count += len(node.caches)
    groups = tuple(
        Group(items=tuple(area for index in group.items for area in areas[index]), sockets=group.sockets)
        for group in division.groups
    )
    return Division(cost=division.cost, groups=groups)


def _divided(items: Sequence[Item], topology: Topology, nodewise: Division, effort: Effort) -> Division | None:
    division = divide_finely(items, topology)
    if division is not None:
        return division
    return divide_across_nodes(items, topology, nodewise.groups, nodewise.promise, effort)


def _used_up(areas: Sequence[Area], candidates: Sequence[_Candidate], topology: Topology) -> list[Choice]:
    effort = Effort(steps=_EFFORT)
    found: list[tuple[int, int, Choice]] = []
    for candidate in sorted(candidates):
        # Where guest cores have more than two threads the seats may be worse than the division says.
        if found and (effort.steps <= 0 or (topology.threads <= 2 and min(found)[0] <= candidate.bound)):
            break
        division = divide_finely(items_of(areas, candidate.reservations), topology, effort)
        if division is None:
            raise AssertionError("areas that are used up are divided by their remainders")
        found.append((division.cost, candidate.order, Choice(reservations=candidate.reservations, division=division)))
    return [choice for *_, choice in sorted(found, key=lambda entry: entry[:2])]


def _candidates(
    nodes: Sequence[Area], areas: Sequence[Area], tied: Sequence[Choice], topology: Topology
) -> list[_Candidate]:
    """List the choices that leave different numbers of CPUs: nothing else counts where every CPU is used."""
    seen = set()
    found = []
    node_crossings = tied[0].division.promise[0]
    for order, chosen in enumerate(islice(_finer(nodes, tied, topology), _CHOICE_WORK // len(areas))):
        cpus = cpus_left(chosen, topology.threads)
        if cpus not in seen:
            seen.add(cpus)
            bound = tied[0].division.cost >> TERM << TERM | _least_cache_crossings(
                areas, cpus, topology, node_crossings
            )
            found.append(_Candidate(bound, order, chosen))
    return found


def _least_cache_crossings(areas: Sequence[Area], cpus: Sequence[int], topology: Topology, node_crossings: int) -> int:
    """Bound term 6 from below: areas that are groups alone or in pairs inside a node are; what groups can the rest be?

    A group over nodes has two areas at least and crosses a node at least once, any other has three areas.
    """
    size = topology.cores * topology.threads
    by_node: dict[int, list[int]] = defaultdict(list)
    for area, count in zip(areas, cpus, strict=True):
        if count:
            by_node[area.node].append(count)
    thinned = [alone_or_paired(counts, size) for counts in by_node.values()]
    groups, rest = sum(len(taken) for taken, _ in thinned), sum(len(left) for _, left in thinned)
    across = min(node_crossings, rest // 2)
    return sum(1 for count in cpus if count) - groups - across - (rest - 2 * across) // 3


def _spare_limit(areas: Sequence[Area], topology: Topology) -> int:
    by_node: dict[int, list[Item]] = defaultdict(list)
    for item in plain_items(areas, topology.threads):
        by_node[item.node].append(item)
    work = sum(search_size(items) for items in by_node.values()) + _NODE_WORK * len(by_node) ** 2
    return min(_SPARE_LIMIT, max(1, _SPARE_WORK // work))


def _finer(nodes: Sequence[Area], choices: Sequence[Choice], topology: Topology) -> Iterator[tuple[Reservation, ...]]:
    """Yield the choices of areas which leave each node with the same stock, for one choice of nodes after the other."""
    known: dict[tuple[int, Reservation], list[tuple[Reservation, ...]]] = {}
    for choice in choices:
        by_node = []
        for node, option in zip(nodes, choice.reservations, strict=True):
            if (node.node, option) not in known:
                known[node.node, option] = _inside(node, option, topology.threads)
            by_node.append(known[node.node, option])
        for chosen in product(*by_node):
            yield tuple(option for options in chosen for option in options)


def _inside(node: Area, wanted: Reservation, threads: int) -> list[tuple[Reservation, ...]]:
    options = [reservations(area.histogram(), threads, wanted.cpus) for area in refined(node)]
    return [
        chosen
        for chosen in combinations(options, wanted.cpus, CLASS_LIMIT)
        if sum((option.stock for option in chosen), Stock()) == wanted.stock
    ]
