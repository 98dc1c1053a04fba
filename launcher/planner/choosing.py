"""The choices of housekeeping that are best in terms 1 to 3, ranked by what the guest's sockets then cross."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from msgspec import Struct

from launcher.planner.candidates import Item, outline, search_size
from launcher.planner.division import (
    Division,
    divide,
    divide_within,
    one_to_a_node,
    uses_every_cpu,
)
from launcher.planner.effort import Effort
from launcher.planner.fitting import all_options, fits, fitting, loosest_items
from launcher.planner.reserve import Options, Reservation, combinations, reservations
from launcher.planner.stock import Stock, by_node, least
from launcher.planner.supply import Area
from launcher.vmi.guest import Topology

# Above this many pairs of areas and group (eight different areas have 6,561) areas are not searched all together.
SEARCH_LIMIT = 7_000
# Choices of housekeeping times pairs of areas and group: what is searched in all.
_WORK_LIMIT = 120_000
# Choices of housekeeping where each is quickly searched: where every CPU is used, and where only nodes are divided.
_CHOICE_LIMIT = 100
# Steps of the search for nodes that share sockets, for all choices after the first.
_JOINING_EFFORT = 10_000
# Choices that are looked at for term 7 alone, after one that no other can beat in terms 4 to 6.
_TIE_LIMIT = 8
# Choices of housekeeping that leave the same summed stock, of which not more are compared.
CLASS_LIMIT = 200


class Choice(Struct, frozen=True, kw_only=True):
    """One choice of housekeeping by kind, and how the areas are then divided among the guest's sockets."""

    reservations: tuple[Reservation, ...]
    division: Division


def rank(areas: Sequence[Area], topology: Topology, housekeeping: int, *, proved: bool = True) -> list[Choice]:
    """Rank the choices of housekeeping that are best in terms 1 to 3, the best first, until one cannot be beaten.

    All of them, unless they are so many that the work would pass the limit; terms 4 to 6 are then a heuristic. Where
    their costs are not `proved` to be bounds (caches that span nodes) none is left out for its cost.
    """
    options = all_options(areas, topology, housekeeping)
    choices = _leading(areas, options, topology, housekeeping)
    bound = 0 if proved else -1
    loosest = _loosest(areas, options, choices, topology) if proved else None
    if loosest is not None:
        bound = loosest.cost
        choices = _fitting_first(areas, options, choices, loosest, topology)
    left = _choice_limit(items_of(areas, choices[0]), topology)
    ranked: list[tuple[tuple[int, int, tuple[int, ...]], Choice]] = []
    for choice in _divided(areas, choices, topology):
        merit = (choice.division.cost, *_dislikes(areas, choice, topology))
        ranked.append((merit, choice))
        left = min(left - 1, _TIE_LIMIT) if merit[0] <= bound else left - 1
        if left <= 0 or merit[:2] <= (bound, 0):
            break
    return [choice for _, choice in sorted(ranked, key=lambda entry: entry[0])]


def _divided(areas: Sequence[Area], choices: Sequence[tuple[Reservation, ...]], topology: Topology) -> Iterator[Choice]:
    """Divide the areas for one choice after the other; nodes without those that are seen to be worse in term 4."""
    effort = Effort(steps=_JOINING_EFFORT)
    known: dict[object, Division | None] = {}
    most: int | None = None
    for chosen in choices:
        items = items_of(areas, chosen)
        used_up = uses_every_cpu(items, topology)
        # Where every CPU is used nothing else counts.
        key: object = cpus_left(chosen, topology.threads) if used_up else chosen
        if key not in known:
            within = most is not None and one_to_a_node(items)
            known[key] = divide_within(items, topology, most or 0, effort) if within else divide(items, topology)
        division = known[key]
        if division is not None:
            most = min(division.promise[0], division.promise[0] if most is None else most)
            yield Choice(reservations=chosen, division=division)


def _choice_limit(items: Sequence[Item], topology: Topology) -> int:
    if uses_every_cpu(items, topology) or one_to_a_node(items):
        return _CHOICE_LIMIT
    return max(1, _WORK_LIMIT // search_size(items))


def _loosest(
    areas: Sequence[Area], options: Sequence[Options], choices: Sequence[Sequence[Reservation]], topology: Topology
) -> Division | None:
    """Divide the areas as if each did for the guest what it may with any choice: none of them costs less."""
    if len(choices) == 1 or uses_every_cpu(items_of(areas, choices[0]), topology):
        return None
    items = loosest_items(areas, options, choices[0], topology)
    if outline(items, topology).least_price or (search_size(items) > SEARCH_LIMIT and not one_to_a_node(items)):
        return None
    return divide(items, topology)


def _fitting_first(
    areas: Sequence[Area],
    options: Sequence[Options],
    choices: Sequence[tuple[Reservation, ...]],
    division: Division,
    topology: Topology,
) -> list[tuple[Reservation, ...]]:
    """Put those choices first with which the division can be kept."""
    first = [chosen for chosen in choices if fits(areas, chosen, division, topology)]
    if not first:
        first = list(islice(fitting(areas, options, choices[0], division, topology), 1))
    return [*first, *(chosen for chosen in choices if chosen not in first)]


def _leading(
    areas: Sequence[Area], options: Sequence[Options], topology: Topology, housekeeping: int
) -> list[tuple[Reservation, ...]]:
    """Find the least terms 1 to 3 and the choices that reach them, those first that keep to the largest node."""
    guest_cores = topology.sockets * topology.cores
    judged = []
    for chosen in combinations(options, housekeeping, CLASS_LIMIT):
        stocks = by_node((area.node, option.stock) for area, option in zip(areas, chosen, strict=True))
        judged.append((least(stocks.values(), guest_cores, topology.threads), chosen))
    best = min(target for target, _ in judged)
    largest = _largest_node(areas)
    return sorted(
        (chosen for target, chosen in judged if target == best), key=lambda chosen: _off(largest, areas, chosen)
    )


def _largest_node(areas: Sequence[Area]) -> int:
    sizes: Counter[int] = Counter()
    for area in areas:
        sizes[area.node] += area.cpu_count
    return max(sizes, key=lambda node: (sizes[node], -node))


def _off(node: int, areas: Sequence[Area], chosen: Sequence[Reservation]) -> int:
    return sum(option.cpus for area, option in zip(areas, chosen, strict=True) if area.node != node)


def _dislikes(areas: Sequence[Area], choice: Choice, topology: Topology) -> tuple[int, tuple[int, ...]]:
    """Count the housekeeping CPUs away from the node with most vCPUs; last, prefer the first areas."""
    on_node: Counter[int] = Counter()
    for group in choice.division.groups:
        shares = _shares([choice.reservations[i].stock for i in group.items], group.sockets * topology.cores)
        for i, share in zip(group.items, shares, strict=True):
            on_node[areas[i].node] += share
    most = max(on_node.values())
    taken = [(area, option.cpus) for area, option in zip(areas, choice.reservations, strict=True)]
    away = sum(cpus for area, cpus in taken if on_node[area.node] < most)
    return away, tuple(cpus for _, cpus in taken)


def _shares(stocks: Sequence[Stock], guest_cores: int) -> list[int]:
    """Estimate the guest cores on each area of a group, in proportion to its places; exact for one area."""
    if len(stocks) == 1:
        return [guest_cores]
    return [stock.wholes for stock in stocks]


def plain_items(areas: Sequence[Area], threads: int) -> list[Item]:
    """List what the areas offer where nothing is reserved."""
    return items_of(areas, [reservations(area.histogram(), threads, 0)[0][0] for area in areas])


def items_of(areas: Sequence[Area], chosen: Sequence[Reservation]) -> list[Item]:
    """List what the areas offer beside these reservations."""
    return [
        Item(node=area.node, caches=len(area.caches), stock=reservation.stock)
        for area, reservation in zip(areas, chosen, strict=True)
    ]


def cpus_left(chosen: Sequence[Reservation], threads: int) -> tuple[int, ...]:
    """Count the CPUs of each area beside these reservations."""
    return tuple(threads * option.stock.wholes + option.stock.looses for option in chosen)
