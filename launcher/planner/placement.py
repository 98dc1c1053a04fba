"""The optimal placement: which CPUs the vCPUs and the housekeeping get, out of the free ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, product

from msgspec import Struct
from msgspec.structs import replace

from launcher.host.model import CPU
from launcher.planner.candidates import Item, outline
from launcher.planner.division import Division, divide, divide_finely, search_size, uses_every_cpu
from launcher.planner.model import Score
from launcher.planner.reserve import Reservation, combinations, reservations
from launcher.planner.score import score
from launcher.planner.seating import GuestSocket, number_vcpus, seat
from launcher.planner.shelf import Shelf, refined, reserve, stack
from launcher.planner.stock import Stock, by_node, least, loosened, regime_of
from launcher.planner.supply import Area, coarse_areas, fine_areas, free_cores
from launcher.planner.untangle import untangle
from launcher.vmi.guest import Topology

# Above this many pairs of areas and group (eight different areas have 6,561) the search goes by nodes first and by
# last-level caches inside each afterwards: term 6 is then exact inside every node, but not among nodes.
_SEARCH_LIMIT = 7_000
# Choices of housekeeping times pairs of areas and group: what is searched in all. Eight different nodes and two
# housekeeping CPUs (36 choices of nodes) stay below.
_WORK_LIMIT = 250_000
# Choices of housekeeping where every CPU is used, which are quickly searched: some hundredths of a second.
_REMAINDER_CHOICES = 100
# Choices that are looked at for term 7 alone, after one that no other can beat in terms 4 to 6.
_TIE_LIMIT = 8
# Choices of caches for the housekeeping on nodes that are given: each of the eight of one node, for one CPU.
_FINER_LIMIT = 8
# Such choices times pairs of areas and group inside each node, where CPUs are left over.
_FINER_WORK = 6_000
# Choices of housekeeping that leave the same summed stock, of which not more are compared.
_CLASS_LIMIT = 200


class Placement(Struct, frozen=True, kw_only=True):
    """The host CPU of each vCPU, by vCPU id, the housekeeping CPUs ascending, and what this scores."""

    vcpus: tuple[CPU, ...]
    housekeeping: tuple[CPU, ...]
    score: Score


class _Choice(Struct, frozen=True, kw_only=True):
    """One choice of housekeeping by kind, and how the areas are then divided among the guest's sockets."""

    reservations: tuple[Reservation, ...]
    division: Division


def place(cpus: Iterable[CPU], topology: Topology, housekeeping: int) -> Placement:
    """Place the guest's vCPUs and `housekeeping` reserved CPUs on the free CPUs, best by terms 1 to 6 in their order.

    Ties go to housekeeping on the node with most vCPUs, then to the lowest CPU numbers. The result depends on the set
    of CPUs alone. The caller makes sure that there are vCPUs + housekeeping CPUs.
    """
    cores = free_cores(cpus)
    areas = fine_areas(cores)
    if search_size(_plain_items(areas, topology.threads)) > _SEARCH_LIMIT:
        return _placed_by_nodes(coarse_areas(cores), topology, housekeeping)
    choices = _ranked(areas, topology, housekeeping)
    best = _seated(areas, choices[0], topology)
    if topology.threads > 2 and all(len(area.caches) == 1 for area in areas):
        return _untangled(areas, choices, best, topology)
    return best


def _placed_by_nodes(nodes: Sequence[Area], topology: Topology, housekeeping: int) -> Placement:
    """Choose the nodes of the housekeeping by terms 1 to 5, then its caches and the groups of areas by term 6."""
    choice = _ranked(nodes, topology, housekeeping)[0]
    areas = [fine for node in nodes for fine in refined(node)]
    finer = [
        _Choice(reservations=reservations_of, division=division)
        for reservations_of in islice(_finer(nodes, choice, topology), _finer_limit(areas, topology, choice))
        if (division := divide_finely(_items(areas, reservations_of), topology)) is not None
    ]
    if not finer:
        return _seated(nodes, choice, topology)
    return _seated(areas, min(finer, key=lambda choice: choice.division.cost), topology)


def _finer_limit(areas: Sequence[Area], topology: Topology, choice: _Choice) -> int:
    stocks = [option.stock for option in choice.reservations]
    if sum(stock.wholes * topology.threads + stock.looses for stock in stocks) == topology.vcpus:
        return _FINER_LIMIT
    by_node: dict[int, list[Item]] = defaultdict(list)
    for item in _plain_items(areas, topology.threads):
        by_node[item.node].append(item)
    work = sum(search_size(items) for items in by_node.values())
    return min(_FINER_LIMIT, max(1, _FINER_WORK // work))


def _finer(nodes: Sequence[Area], choice: _Choice, topology: Topology) -> Iterator[tuple[Reservation, ...]]:
    """Yield the choices of areas inside the nodes which leave each node with the same stock."""
    by_node = [_inside(node, option, topology.threads) for node, option in zip(nodes, choice.reservations, strict=True)]
    for chosen in product(*by_node):
        yield tuple(option for options in chosen for option in options)


def _inside(node: Area, wanted: Reservation, threads: int) -> list[tuple[Reservation, ...]]:
    options = [reservations(area.histogram(), threads, wanted.cpus) for area in refined(node)]
    return [
        chosen
        for chosen in combinations(options, wanted.cpus, _CLASS_LIMIT)
        if sum((option.stock for option in chosen), Stock()) == wanted.stock
    ]


def _untangled(areas: Sequence[Area], choices: Sequence[_Choice], first: Placement, topology: Topology) -> Placement:
    """Search on where split guest cores of more than two threads kept the seats from what the division promised."""
    best = first
    for choice in choices:
        if _last_terms(best) <= choice.division.promise:
            break
        reserved = _reserved(areas, choice)
        shelves = [stack(area, frozenset(cpus), topology.threads) for area, cpus in zip(areas, reserved, strict=True)]
        sockets = untangle(shelves, topology)
        if sockets is None:
            break
        best = min(best, _placement(sockets, reserved, topology), key=lambda placement: placement.score)
    return best


def _last_terms(placement: Placement) -> tuple[int, int, int]:
    return placement.score.node_crossings, placement.score.nodes_used, placement.score.cache_crossings


def _plain_items(areas: Sequence[Area], threads: int) -> list[Item]:
    return _items(areas, [reservations(area.histogram(), threads, 0)[0][0] for area in areas])


def _items(areas: Sequence[Area], chosen: Sequence[Reservation]) -> list[Item]:
    return [
        Item(node=area.node, caches=len(area.caches), stock=reservation.stock)
        for area, reservation in zip(areas, chosen, strict=True)
    ]


def _ranked(areas: Sequence[Area], topology: Topology, housekeeping: int) -> list[_Choice]:
    """Rank the choices of housekeeping that are best in terms 1 to 3, the best first, until one cannot be beaten.

    All of them, unless they are so many that the work would pass the limit; terms 4 to 6 are then a heuristic.
    """
    choices = _leading(areas, topology, housekeeping)
    bound = _bound(areas, choices, topology)
    left = _choice_limit(_items(areas, choices[0]), topology)
    ranked: list[tuple[tuple[int, int, tuple[int, ...]], _Choice]] = []
    for chosen in choices:
        choice = _Choice(reservations=chosen, division=divide(_items(areas, chosen), topology))
        merit = (choice.division.cost, *_dislikes(areas, choice, topology))
        ranked.append((merit, choice))
        left = min(left - 1, _TIE_LIMIT) if merit[0] <= bound else left - 1
        if left <= 0 or merit[:2] <= (bound, 0):
            break
    return [choice for _, choice in sorted(ranked, key=lambda entry: entry[0])]


def _choice_limit(items: Sequence[Item], topology: Topology) -> int:
    if uses_every_cpu(items, topology):
        return _REMAINDER_CHOICES
    return max(1, _WORK_LIMIT // search_size(items))


def _bound(areas: Sequence[Area], choices: Sequence[Sequence[Reservation]], topology: Topology) -> int:
    """Bound the cost of every choice from below: each area may do for the guest what it may with any of them."""
    if len(choices) == 1 or uses_every_cpu(_items(areas, choices[0]), topology):
        return 0
    regime = regime_of(sum((option.stock for option in choices[0]), Stock()), topology.sockets * topology.cores)
    stocks = [
        loosened({option.stock for option in options}, regime, topology.threads)
        for options in zip(*choices, strict=True)
    ]
    items = [
        Item(node=area.node, caches=len(area.caches), stock=stock) for area, stock in zip(areas, stocks, strict=True)
    ]
    return 0 if outline(items, topology).least_price else divide(items, topology).cost


def _leading(areas: Sequence[Area], topology: Topology, housekeeping: int) -> list[tuple[Reservation, ...]]:
    """Find the least terms 1 to 3 and the choices that reach them, those first that keep to the largest node."""
    options = [reservations(area.histogram(), topology.threads, housekeeping) for area in areas]
    guest_cores = topology.sockets * topology.cores
    judged = []
    for chosen in combinations(options, housekeeping, _CLASS_LIMIT):
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


def _dislikes(areas: Sequence[Area], choice: _Choice, topology: Topology) -> tuple[int, tuple[int, ...]]:
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


def _seated(areas: Sequence[Area], choice: _Choice, topology: Topology) -> Placement:
    reserved = _reserved(areas, choice)
    sockets = [
        socket
        for group in choice.division.groups
        for shelves, count in _refined_groups([(areas[i], reserved[i]) for i in group.items], group.sockets, topology)
        for socket in seat(shelves, count, topology)
    ]
    return _placement(sockets, reserved, topology)


def _reserved(areas: Sequence[Area], choice: _Choice) -> list[tuple[CPU, ...]]:
    return [reserve(area, option.takes) for area, option in zip(areas, choice.reservations, strict=True)]


def _placement(sockets: Iterable[GuestSocket], reserved: Iterable[tuple[CPU, ...]], topology: Topology) -> Placement:
    vcpus = number_vcpus(sockets)
    housekeeping = tuple(sorted((cpu for cpus in reserved for cpu in cpus), key=lambda cpu: cpu.cpu))
    return Placement(vcpus=vcpus, housekeeping=housekeeping, score=score(vcpus, topology, housekeeping))


def _refined_groups(
    members: Sequence[tuple[Area, tuple[CPU, ...]]], sockets: int, topology: Topology
) -> Iterator[tuple[Sequence[Shelf], int]]:
    """Divide a group of one coarse area further, by last-level cache."""
    shelves = [
        stack(fine, frozenset(reserved), topology.threads) for area, reserved in members for fine in refined(area)
    ]
    if len(members) > 1 or len(shelves) == 1:
        yield shelves, sockets
        return
    items = [Item(node=shelf.node, caches=1, stock=shelf.stock) for shelf in shelves]
    for group in divide(items, replace(topology, sockets=sockets)).groups:
        yield [shelves[i] for i in group.items], group.sockets
