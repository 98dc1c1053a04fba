"""What a group of areas can do together: the guest sockets it may hold beside so much housekeeping, at what price."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from launcher.planner.optimum.caps import Caps, Part, shared, trimmed
from launcher.planner.optimum.offers import FIELD, Limits, Link, Offer, Pick, joined, undominated, without_areas
from launcher.planner.optimum.outlook import Menus
from launcher.planner.optimum.states import Effort
from launcher.planner.optimum.stock import Reservation, Stock
from launcher.vmi.guest import Topology

T = TypeVar("T")
# The areas of a group, ascending.
Group = tuple[int, ...]


class Settled(Struct, frozen=True, kw_only=True):
    """Groups with their guest sockets, every area's reservation, and how much of the housekeeping is disliked.

    `kept` is what vCPUs may use of areas on capped nodes.
    """

    groups: tuple[tuple[Group, int], ...]
    reservations: dict[int, Reservation]
    price: int
    dislike: int
    kept: dict[int, Stock] = field(default_factory=dict)


class Market(Struct):
    """The offers of every area for one guest, and what groups of them can do."""

    offers: Sequence[Sequence[Offer]]
    nodes: Sequence[int]
    cpus: Sequence[int]
    topology: Topology
    housekeeping: int
    areas: Sequence[int]
    effort: Effort
    price: int = 1 << 100
    caps: Caps = field(default_factory=Caps)
    # Full nodes that one group alone has to fill, with some of their areas.
    alone: frozenset[int] = frozenset()
    known: dict[object, list[Offer]] = field(default_factory=dict)
    menus: Menus = field(default_factory=dict)

    @property
    def socket(self) -> int:
        """The CPUs of a guest socket."""
        return self.topology.cores * self.topology.threads

    @property
    def limits(self) -> Limits:
        """What sums of offers may have at most: no group needs more CPUs than the guest takes."""
        return Limits(self.housekeeping, self.price, self.topology.vcpus)

    def with_fields(self, **fields: Any) -> Market:
        """Return the market with these fields instead, and nothing added up yet."""
        return replace(self, **fields, known={})

    def _once(self, add_up: Callable[[T], list[Offer]], what: T) -> list[Offer]:
        """Add up what was not added up before."""
        key = add_up.__name__, what
        if key not in self.known:
            self.known[key] = add_up(what)
        return self.known[key]

    def group(self, areas: Group) -> list[Offer]:
        """List what the group offers, in guest sockets from `low` to `high`; nothing where it can hold none."""
        return self._once(self._group, areas)

    def _group(self, areas: Group) -> list[Offer]:
        by_node: dict[int, list[int]] = {}
        for area in areas:
            by_node.setdefault(self.nodes[area], []).append(area)
        parts = tuple(tuple(members) for members in by_node.values())
        total = self._of_node(parts[0]) if len(parts) == 1 else self._once(self._across, parts)
        size, used, found = self.socket, self._used(areas), []
        for housekeeping, low, high, price, dislike, chosen in total:
            least, most = -(-low // size), high // size
            if most >= max(1, least) and housekeeping + most * size >= used:
                link = Link(Pick(areas, least, most), chosen)
                found.append(Offer(housekeeping, least, most, price, dislike, link))
        return found

    @property
    def too_many(self) -> int:
        """The CPUs that neither housekeeping nor a vCPU needs."""
        return sum([self.cpus[area] for area in self.areas]) - self.topology.vcpus - self.housekeeping

    def _used(self, areas: Group) -> int:
        """Count the CPUs of these areas that threads need if all others are used."""
        return sum([self.cpus[area] for area in areas]) - self.too_many

    def _across(self, parts: tuple[Group, ...]) -> list[Offer]:
        """Add up what several nodes offer to sockets that they share."""
        if len(parts) == 1:
            return self._whole_cores(self._of_node(parts[0]), self._used(parts[0]))
        before, last = self._once(self._across, parts[:-1]), self._once(self._across, parts[-1:])
        return joined(before, last, self.limits, self.effort)

    def _summed(self, areas: Group) -> list[Offer]:
        """Add up what areas of one node offer."""
        last = self.offers[areas[-1]]
        if len(areas) == 1:
            return list(last)
        return joined(self._once(self._summed, areas[:-1]), last, self.limits, self.effort)

    def _of_node(self, areas: Group) -> list[Offer]:
        """Let areas of one node give no more than it may, and all of a full one (or those that fill it) no less."""
        offers, node = self._once(self._summed, areas), self.nodes[areas[0]]
        if not self.caps.most:
            return offers
        is_full = node in self.alone or (node in self.caps.full and len(areas) == self.nodes.count(node))
        low = self.caps.most[node] if is_full else 0
        limited = [offer._replace(low=max(low, offer.low), high=self.caps.limit(node, offer.high)) for offer in offers]
        return undominated(offer for offer in limited if offer.low <= offer.high)

    def _whole_cores(self, offers: Iterable[Offer], used: int) -> list[Offer]:
        """Let a node that shares sockets with others give whole guest cores, or more at the price of term 1."""
        threads = self.topology.threads
        if threads == 1:
            return list(offers)
        rounded = []
        for offer in offers:
            rest = offer.high % threads
            for extra in range(rest + 1):
                high, price = offer.high - rest + extra, offer.price + (extra << (3 * FIELD))
                if high >= offer.low and price <= self.price and offer.housekeeping + high >= used:
                    rounded.append(offer._replace(high=high, price=price))
        return undominated(rounded)

    def idle(self, areas: Sequence[int]) -> list[Offer]:
        """List what areas without vCPUs give to the housekeeping."""
        total = [Offer(0, 0, 0, 0, 0, None)]
        for area in areas:
            own = without_areas(offer._replace(high=0) for offer in self.offers[area] if not offer.low)
            total = joined(total, own, self.limits, self.effort)
        return total

    def settle(self, groups: Sequence[Group]) -> Settled | None:
        """Choose the housekeeping and the sockets of each group at the least price; None where that is too high."""
        settled = self._settle(groups)
        alone = self._filled_alone(groups) if settled is None else frozenset[int]()
        # The least price may have put housekeeping where vCPUs must fill a node.
        return self.with_fields(alone=alone).settle(groups) if alone - self.alone else settled

    def _filled_alone(self, groups: Sequence[Group]) -> frozenset[int]:
        users = Counter(node for group in groups for node in {self.nodes[area] for area in group})
        return frozenset(node for node in self.caps.full if users[node] == 1)

    def _settle(self, groups: Sequence[Group]) -> Settled | None:
        used = {area for group in groups for area in group}
        total = self.idle([area for area in self.areas if area not in used])
        sockets = self.topology.sockets
        for group in groups:
            # All of the housekeeping has to be there with the last one.
            least = self.housekeeping if group is groups[-1] else 0
            total = joined(total, self.group(group), self.limits._replace(enough=sockets, least=least), self.effort)
        best = min(self.fitting(total), key=lambda offer: (offer.price, offer.dislike), default=None)
        return None if best is None else self._settled(groups, best)

    def fitting(self, offers: Iterable[Offer]) -> list[Offer]:
        """List those offers of guest sockets that have all of the housekeeping and hold the guest."""
        sockets = self.topology.sockets
        return [o for o in offers if o.housekeeping == self.housekeeping and o.low <= sockets <= o.high]

    def _settled(self, groups: Sequence[Group], best: Offer) -> Settled | None:
        picks = {pick.key: pick for pick in best.chosen.picks()} if best.chosen else {}
        bounds = [(picks[group].low, picks[group].high) for group in groups]
        kept: dict[int, Stock] = {}
        counts = self._within_caps(groups, bounds, picks, kept) if self.caps.most else self._dealt(bounds)
        if counts is None:
            return None
        return Settled(
            groups=tuple(
                (tuple(area for area in group if picks[area].high and kept.get(area) != Stock()), count)
                for group, count in zip(groups, counts, strict=True)
                if count
            ),
            reservations={area: picks[area].reservation for area in self.areas},
            price=best.price,
            dislike=best.dislike,
            kept=kept,
        )

    def _dealt(self, bounds: Sequence[tuple[int, int]]) -> list[int]:
        """Give the first groups as many sockets as they may have."""
        extra = self.topology.sockets - sum(low for low, _ in bounds)
        counts = []
        for low, high in bounds:
            more = min(extra, high - low)
            extra -= more
            counts.append(low + more)
        return counts

    def _within_caps(
        self,
        groups: Sequence[Group],
        bounds: Sequence[tuple[int, int]],
        picks: Mapping[int | Group, Pick],
        kept: dict[int, Stock],
    ) -> list[int] | None:
        """Share the sockets out so that no node carries more than it may, and one that is full no less.

        Say in `kept` what is used of areas on capped nodes.
        """
        threads, nodes = self.topology.threads, self.nodes
        parts: list[dict[int, Part]] = []
        for group in groups:
            own: dict[int, Part] = defaultdict(Part)
            # What must be full is filled first.
            for area in sorted(group, key=lambda area: nodes[area] not in self.caps.full):
                own[nodes[area]].must += picks[area].low
                own[nodes[area]].can += picks[area].high
            for part in own.values():
                part.can -= part.can % threads
            parts.append(own)
        counts = shared(bounds, parts, self.caps.most, self.topology)
        full = {nodes[area] for area in self.areas} & self.caps.full
        taken = {node: sum(own[node].taken for own in parts if node in own) for node in full}
        if counts is None or any(cpus != self.caps.most[node] for node, cpus in taken.items()):
            return None
        for group, own in zip(groups, parts, strict=True):
            for node in own.keys() & self.caps.most.keys():
                here = {area: picks[area] for area in group if nodes[area] == node}
                stocks = {area: pick.reservation.stock if pick.high else Stock() for area, pick in here.items()}
                kept.update(trimmed(stocks, own[node].taken, threads))
        return counts
