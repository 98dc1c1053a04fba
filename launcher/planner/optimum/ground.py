"""The ground of one search: the areas with their offers in the right regime, and searches over nodes or areas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from launcher.planner.optimum.effort import Effort, TooLong
from launcher.planner.optimum.estimate import Estimate
from launcher.planner.optimum.groups import Market, Settled
from launcher.planner.optimum.offers import AWAY, FIELD, Offer, offers_of, without_areas
from launcher.planner.optimum.prospects import Prospects
from launcher.planner.optimum.reserve import reservations
from launcher.planner.optimum.search import Search
from launcher.planner.optimum.states import Goal, Groups, Item
from launcher.planner.optimum.stock import Regime
from launcher.planner.optimum.supply import Area
from launcher.vmi.guest import Topology

# With more housekeeping CPUs than this on more areas than that, only some ways are followed.
_MANY_CPUS = 9
_MANY_AREAS = 16
_FEW = 3
_ALL = 1 << 30
# The least effort that an attempt is given.
_LEAST_EFFORT = 1_000
# Guests of more vCPUs than this that use every CPU get a third of the effort: each step takes longer.
_LARGE = 128
# Whatever is settled outside a search has to be.
ENDLESS = 1 << 60


class Ground(Struct, frozen=True, kw_only=True):
    """The areas, their offers (`plain` ones do not count the areas used), and what each must and may give at best."""

    areas: Sequence[Area]
    market: Market
    plain: Market
    low: Sequence[int]
    high: Sequence[int]

    @property
    def topology(self) -> Topology:
        """The guest's."""
        return self.market.topology

    @property
    def extra(self) -> int:
        """The CPUs of guest cores that have to lie across nodes."""
        return self.market.price >> (3 * FIELD)

    @property
    def needed(self) -> int:
        """The guest's vCPUs."""
        return self.topology.vcpus

    @property
    def is_narrow(self) -> bool:
        """Tell whether only some ways of housekeeping are followed."""
        return self.market.few < _ALL

    def effort(self, steps: int) -> Effort:
        """Return so much effort, for a large guest that uses every CPU less."""
        cpus = sum(area.cpu_count for area in self.areas)
        is_exact = cpus == self.needed + self.market.housekeeping
        return Effort(steps=steps // 3 if is_exact and self.needed > _LARGE else steps)

    def nodes(self) -> list[int]:
        """List the nodes, ascending."""
        return sorted({area.node for area in self.areas})

    def of_node(self, node: int) -> list[int]:
        """List the areas of a node."""
        return [index for index, area in enumerate(self.areas) if area.node == node]

    def nodes_of(self, group: Iterable[int]) -> set[int]:
        """Return the nodes on which these areas lie."""
        return {self.areas[index].node for index in group}

    def cache_of(self, area: int) -> int:
        """Return the last-level cache of an area."""
        return min(self.areas[area].caches)

    def crossed(self, groups: Iterable[Iterable[int]]) -> int:
        """Count the caches that groups cross: term 6."""
        return sum(len({self.cache_of(index) for index in group}) - 1 for group in groups)

    def crossed_by(self, settled: Settled) -> int:
        """Count the caches that settled groups cross."""
        return self.crossed(group for group, _ in settled.groups)

    def _shape(self, area: int) -> tuple[object, ...]:
        return tuple(sorted(offer[:4] for offer in self.market.offers[area]))

    def node_item(self, node: int) -> Item:
        """Sum a node up as one item; whole nodes are searched as if they lay on one."""
        members = self.of_node(node)
        low, high = sum(self.low[index] for index in members), sum(self.high[index] for index in members)
        extra = high % self.topology.threads
        kind = tuple(sorted((self.low[index], self.high[index], self._shape(index)) for index in members))
        high -= extra
        return Item(number=node, node=-1, low=min(low, high), high=high, kind=kind, cache=node, extra=extra)

    def area_items(self, members: Iterable[int]) -> list[Item]:
        """List areas as items, those of a node together and the largest first."""
        return [
            Item(
                number=index,
                node=self.areas[index].node + 1,
                low=self.low[index],
                high=self.high[index],
                kind=self._shape(index),
                cache=self.cache_of(index),
            )
            for index in sorted(members, key=lambda i: (self.areas[i].node, -self.high[i], i))
            if self.high[index]
        ]

    def search_nodes(self, items: Sequence[Item], market: Market) -> Search:
        """Prepare a search for groups of nodes."""
        members = [tuple(self.of_node(item.number)) for item in items]
        return self._search(items, members, market, extra=self.extra)

    def search_areas(self, items: Sequence[Item], market: Market) -> Search:
        """Prepare a search for groups of areas."""
        members = [(item.number,) for item in items]
        return self._search(items, members, market, part=1 if self.extra else self.topology.threads)

    def _search(
        self,
        items: Sequence[Item],
        members: Sequence[tuple[int, ...]],
        market: Market,
        *,
        extra: int = 0,
        part: int = 0,
    ) -> Search:
        def areas_of(group: Iterable[int]) -> tuple[int, ...]:
            return tuple(sorted(index for member in group for index in members[member]))

        def settles(groups: Groups) -> Settled | None:
            return market.settle([areas_of(group) for group in groups])

        def price_of(group: Sequence[int]) -> int | None:
            return min((offer.price for offer in market.group(areas_of(group))), default=None)

        size = market.socket
        slack = sum(item.high for item in items) + extra - market.topology.vcpus
        sizes = [(item.low, item.high) for item in items]
        all_sizes = [(item.low, item.high + item.extra) for item in items]
        raw = sum(high for _, high in all_sizes) - market.topology.vcpus
        odd = self.topology.threads - 1 if extra else 0
        caches = {item.cache for item in items}
        return Search(
            items=[item._replace(number=position) for position, item in enumerate(items)],
            market=market,
            settles=settles,
            price_of=price_of,
            merit=lambda settled: settled.dislike >> AWAY,
            prospects=Prospects(
                usual=Estimate.of(sizes, size, max(0, slack), odd, extra),
                every=Estimate.of(all_sizes, size, max(0, raw), 0, 0) if extra else None,
                spanning=len(caches) < len(items),
            ),
            lossless=not market.housekeeping,
            extra=extra,
            part=part,
        )


def tried(search: Search, goal: Goal, effort: Effort, parts: int) -> tuple[Settled | None, bool]:
    """Search with a part of the effort, and tell whether it was enough."""
    if effort.steps <= 0:
        return None, False
    given = max(effort.steps // parts, _LEAST_EFFORT)
    own = Effort(steps=given)
    search.market.effort = own
    try:
        found, ended = search.within(goal), True
    except TooLong:
        found, ended = search.best, False
    search.market.effort = Effort(steps=ENDLESS)
    effort.charge(given - own.steps)
    return found, ended


def survey(areas: Sequence[Area], topology: Topology, housekeeping: int) -> Ground:
    """Find the regime, the first in which all areas together hold the guest, the least price, and each area's part."""
    options = [reservations(area.histogram(), topology.threads, housekeeping) for area in areas]
    narrow = housekeeping > _MANY_CPUS and len(areas) > _MANY_AREAS
    everything = tuple(range(len(areas)))
    for regime in Regime:
        offers = [offers_of(i, options[i], regime, topology.threads, is_narrow=narrow) for i in everything]
        market = Market(
            offers=[without_areas(own) for own in offers],
            nodes=[area.node for area in areas],
            topology=topology,
            housekeeping=housekeeping,
            areas=everything,
            effort=Effort(steps=ENDLESS),
            few=_FEW if narrow else _ALL,
        )
        whole = [offer for offer in market.group(everything) if offer.housekeeping == housekeeping]
        prices = [offer.price for offer in whole if offer.low <= topology.sockets <= offer.high]
        if prices:
            return _ground(areas, market, offers, min(prices) | ((1 << FIELD) - 1))
    raise AssertionError("all areas together hold the guest")


def _ground(areas: Sequence[Area], market: Market, offers: Sequence[Sequence[Offer]], price: int) -> Ground:
    most = price & ((1 << (3 * FIELD)) - 1)
    good = [[offer for offer in own if offer.price <= most] or own for own in market.offers]
    high = [max(offer.high for offer in own) for own in good]
    spare = sum(high) - market.topology.vcpus
    low = [max(min(offer.low for offer in own), most - spare) for own, most in zip(good, high, strict=True)]
    return Ground(
        areas=areas,
        market=replace(market, offers=offers, price=price, known={}, parts={}),
        plain=replace(market, price=price, known={}, parts={}),
        low=low,
        high=high,
    )


def dislike(ground: Ground, load: Mapping[int, int]) -> None:
    """Weigh ties for this many vCPUs on each node: housekeeping goes where most are."""
    most = max(load.values())
    for market in (ground.market, ground.plain):
        market.known.clear()
        market.parts.clear()
        market.offers = [
            [
                _weighed(offer, index, len(ground.areas), away=load.get(ground.areas[index].node, 0) < most)
                for offer in own
            ]
            for index, own in enumerate(market.offers)
        ]


def _weighed(offer: Offer, position: int, areas: int, *, away: bool) -> Offer:
    """Dislike housekeeping away from the node with most vCPUs, then on the first areas, then vCPUs on the last."""
    reserved = offer.housekeeping * (away << AWAY | (areas - position) << FIELD)
    return offer._replace(dislike=reserved + (position if offer.price & 1 else 0))
