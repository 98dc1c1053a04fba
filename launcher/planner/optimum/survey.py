"""The survey before the search: the first regime in which the guest fits, the least price, and the areas' offers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from launcher.planner.optimum.caps import Caps
from launcher.planner.optimum.ground import Ground
from launcher.planner.optimum.groups import Market, Settled
from launcher.planner.optimum.offers import AWAY, FIELD, Offer, offers_of, without_areas
from launcher.planner.optimum.states import Effort
from launcher.planner.optimum.stock import Regime, Stock, reservations, summed
from launcher.planner.optimum.supply import Area
from launcher.vmi.guest import Topology

# More than any placement costs.
_ENDLESS_PRICE = (1 << (5 * FIELD)) - 1


def survey(areas: Sequence[Area], topology: Topology, housekeeping: int, most: Mapping[int, int]) -> Ground | None:
    """Find the regime, the first in which all areas together hold the guest, the least price, and each area's part.

    `most` are the CPUs that capped nodes may give to vCPUs; with any, no guest core lies across nodes. None where the
    guest does not fit then.
    """
    threads = topology.threads
    options = list(reservations([area.histogram() for area in areas], threads, housekeeping))
    stocks: dict[int, Stock] = {}
    for area, own in zip(areas, options, strict=True):
        stocks[area.node] = summed((stocks.get(area.node, Stock()), own[0][0].stock))
    everything = tuple(range(len(areas)))
    idle = sum(area.cpu_count for area in areas) - topology.vcpus - housekeeping
    together = _together(areas, topology, housekeeping, idle)
    attempts = (
        (caps, price)
        for regime in Regime
        for caps in _caps_in(regime, stocks, most, threads)
        for price in ([_ENDLESS_PRICE] if caps.most else together[regime])
    )
    for caps, price in attempts:
        listed = [offers_of(i, options[i], caps.regimes[areas[i].node], threads, idle) for i in everything]
        offers = _within(listed, price | ((1 << FIELD) - 1))
        market = Market(
            offers=[without_areas(own) for own in offers],
            nodes=[area.node for area in areas],
            cpus=[area.cpu_count for area in areas],
            topology=topology,
            housekeeping=housekeeping,
            areas=everything,
            effort=Effort(),
            price=price,
            caps=caps,
        )
        prices = [offer.price for offer in market.fitting(market.group(everything))]
        if prices and not (most and min(prices) >> (3 * FIELD)):
            return _ground(areas, market, offers, min(prices) | ((1 << FIELD) - 1))
    return None


def _together(areas: Sequence[Area], topology: Topology, housekeeping: int, idle: int) -> dict[Regime, list[int]]:
    """List the prices to try: the least that there could be if all cores were of one area, then any; none: no room."""
    histogram = sum((Counter(area.histogram()) for area in areas), Counter[int]())
    (options,) = reservations([dict(sorted(histogram.items()))], topology.threads, housekeeping)
    prices = {}
    for regime in Regime:
        offers = offers_of(0, {0: options[0], housekeeping: options[housekeeping]}, regime, topology.threads, idle)
        fitting = (o.price for o in offers if o.housekeeping == housekeeping and o.low <= topology.vcpus <= o.high)
        least = min(fitting, default=None)
        prices[regime] = [] if least is None else [least, _ENDLESS_PRICE]
    return prices


def _caps_in(regime: Regime, stocks: Mapping[int, Stock], most: Mapping[int, int], threads: int) -> Iterator[Caps]:
    """Leave out caps that bind nothing, and tell the regime of each node: an earlier one where a cap keeps it there.

    Where that leaves the housekeeping no room, every node is in the guest's.
    """
    rooms = {node: stock.cpus(threads) // threads * threads for node, stock in stocks.items()}
    binding = {node: most[node] for node in stocks if node in most and most[node] < rooms[node]}
    own = {node: min(regime, _regime_of(stocks[node], cpus // threads)) for node, cpus in binding.items()}
    full = frozenset(node for node, of_node in own.items() if of_node < regime)
    regimes = dict.fromkeys(stocks, regime)
    yield Caps(most=binding, regimes=regimes | own, full=full)
    if full:
        yield Caps(most=binding, regimes=regimes)


def _regime_of(stock: Stock, guest_cores: int) -> Regime:
    if guest_cores <= stock.whole:
        return Regime.PLENTY
    return Regime.BESIDE if guest_cores <= stock.wholes else Regime.SPLIT


def _ground(areas: Sequence[Area], market: Market, offers: Sequence[Sequence[Offer]], price: int) -> Ground:
    good, offers = _within(market.offers, price), _within(offers, price)
    high = [max(offer.high for offer in own) for own in good]
    members = {
        node: [index for index, area in enumerate(areas) if area.node == node] for node in sorted(set(market.nodes))
    }
    rooms = {node: sum(high[index] for index in own) for node, own in members.items()}
    surplus = {node: room - market.caps.limit(node, room) for node, room in rooms.items()}
    spare = sum(high) - sum(surplus.values()) - market.topology.vcpus
    kinds = dict[object, int]()
    shapes = (
        (surplus[area.node], area.node in market.caps.full, *sorted(offer[:4] for offer in own))
        for area, own in zip(areas, offers, strict=True)
    )
    low = [max(min(offer.low for offer in own), high[i] - spare - surplus[areas[i].node]) for i, own in enumerate(good)]
    return Ground(
        areas=areas,
        market=market.with_fields(offers=offers, price=price),
        plain=replace(market, offers=good, price=price),
        low=low,
        high=high,
        of_node=members,
        spare=spare,
        kind=[kinds.setdefault(shape, len(kinds)) for shape in shapes],
        surplus=surplus,
    )


def _within(offers: Sequence[Sequence[Offer]], price: int) -> list[list[Offer]]:
    """Leave out what is dearer in terms 2 and 3 by itself."""
    most = price & ((1 << (3 * FIELD)) - 1)
    return [[offer for offer in own if offer.price <= most] for own in offers]


def with_dislikes(ground: Ground, rough: Settled) -> Ground:
    """Weigh ties: housekeeping away from the node with most vCPUs is disliked, on the first areas, vCPUs on the last.

    The vCPUs of each node are in proportion where several share sockets.
    """
    load: Counter[int] = Counter()
    for group, sockets in rough.groups:
        total = sum(ground.high[index] for index in group)
        for index in group:
            load[ground.areas[index].node] += 1000 * sockets * ground.market.socket * ground.high[index] // total
    most = max(load.values())

    def weighed(own: Sequence[Offer], position: int) -> list[Offer]:
        node = ground.areas[position].node
        is_away = load[node] < most and ground.caps.most.get(node) != 0
        weight = is_away << AWAY | (len(ground.areas) - position) << FIELD
        return [
            Offer(cpus, low, high, price, cpus * weight + (position if price & 1 else 0), chosen)
            for cpus, low, high, price, _, chosen in own
        ]

    def in_market(market: Market) -> Market:
        return market.with_fields(offers=[weighed(own, position) for position, own in enumerate(market.offers)])

    return replace(ground, market=in_market(ground.market), plain=in_market(ground.plain))
