"""Housekeeping that costs the guest nothing: what the loosest of all choices allows, and a choice that keeps to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from launcher.planner.candidates import Item, outline
from launcher.planner.division import Division
from launcher.planner.grouping import may_idle
from launcher.planner.reserve import Options, Reservation, combinations, reservations
from launcher.planner.stock import Regime, Stock, bounds_of, by_node, least, loosened, regime_of
from launcher.planner.supply import Area
from launcher.vmi.guest import Topology

# Choices with the same summed stock that are tried for areas which the division leaves idle, or nearly so.
_TRIED = 40


def all_options(areas: Iterable[Area], topology: Topology, housekeeping: int) -> list[Options]:
    """List for each area what may be reserved of it."""
    return [reservations(area.histogram(), topology.threads, housekeeping) for area in areas]


def loosest_items(
    areas: Sequence[Area], options: Sequence[Options], best: Sequence[Reservation], topology: Topology
) -> list[Item]:
    """Make up areas that each do for the guest whatever they may beside any choice as good as `best` in terms 1 to 3.

    What is divided among them best is a bound for every such choice.
    """
    total, free = _total(best), sum((same[0][0].stock for same in options), Stock())
    regime = regime_of(total, topology.sockets * topology.cores)
    lost = _kept(free, regime) - _kept(total, regime)
    items = []
    for area, same in zip(areas, options, strict=True):
        least_kept = _kept(same[0][0].stock, regime) - lost
        stocks = [option.stock for some in same.values() for option in some]
        stock = loosened([s for s in stocks if _kept(s, regime) >= least_kept], regime, topology.threads)
        items.append(Item(node=area.node, caches=len(area.caches), stock=stock))
    return items


def _total(chosen: Iterable[Reservation]) -> Stock:
    return sum((option.stock for option in chosen), Stock())


def _kept(stock: Stock, regime: Regime) -> int:
    """Count the places of which the choices that are best in terms 2 and 3 leave the most."""
    match regime:
        case Regime.PLENTY:
            return 0
        case Regime.BESIDE:
            return stock.whole
        case Regime.SPLIT:
            return stock.wholes


def fits(areas: Sequence[Area], chosen: Sequence[Reservation], division: Division, topology: Topology) -> bool:
    """Tell whether this choice leaves the groups of the division what they hold, at no price in terms 1 and 3."""
    items = [
        Item(node=area.node, caches=len(area.caches), stock=option.stock)
        for area, option in zip(areas, chosen, strict=True)
    ]
    whole = outline(items, topology)
    used = {index for group in division.groups for index in group.items}
    if whole.least_price or not all(
        index in used or may_idle(item.stock, whole.regime) for index, item in enumerate(items)
    ):
        return False
    for group in division.groups:
        nodes = by_node((items[index].node, items[index].stock) for index in group.items)
        must, may = bounds_of(nodes.values(), whole.regime, topology.threads)
        if not must <= group.sockets * topology.cores <= may:
            return False
    return True


def fitting(
    areas: Sequence[Area],
    options: Sequence[Options],
    best: Sequence[Reservation],
    division: Division,
    topology: Topology,
) -> Iterator[tuple[Reservation, ...]]:
    """Yield choices as good as `best` in terms 1 to 3 that fit the division.

    Of many choices those are looked at first that take of idle areas, and of groups with CPUs to spare, on the node
    with most vCPUs before others.
    """
    order = _order(areas, division, topology)
    target = _target(areas, best, topology)
    for ordered in combinations([options[index] for index in order], sum(option.cpus for option in best), _TRIED):
        by_index = dict(zip(order, ordered, strict=True))
        chosen = tuple(by_index[index] for index in range(len(areas)))
        if _target(areas, chosen, topology) == target and fits(areas, chosen, division, topology):
            yield chosen


def _order(areas: Sequence[Area], division: Division, topology: Topology) -> list[int]:
    """Order the areas so that the combinations which are found first take of the last ones."""
    used: Counter[int] = Counter()
    spare: dict[int, int] = {}
    for group in division.groups:
        cpus = sum(areas[index].cpu_count for index in group.items)
        for index in group.items:
            used[areas[index].node] += areas[index].cpu_count
            spare[index] = cpus - group.sockets * topology.cores * topology.threads
    idle = max(spare.values()) + 1
    return sorted(range(len(areas)), key=lambda index: (spare.get(index, idle), used[areas[index].node], index))


def _target(areas: Sequence[Area], chosen: Sequence[Reservation], topology: Topology) -> object:
    stocks = by_node((area.node, option.stock) for area, option in zip(areas, chosen, strict=True))
    return least(stocks.values(), topology.sockets * topology.cores, topology.threads)
