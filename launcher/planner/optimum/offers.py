"""Offers: what an area gives to the vCPUs beside so much housekeeping, and what that costs in terms 1 to 3."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from operator import add, itemgetter
from typing import NamedTuple, TypeVar

from launcher.planner.optimum.states import Effort
from launcher.planner.optimum.stock import Regime, Reservation, Reservations, Stock

T = TypeVar("T", bound="tuple[int, int, int, int, int, object]")

# Terms 1, 2 and 3 and the areas used are fields of one integer, so that prices add and compare at once. Term 1 is
# counted in CPUs.
FIELD = 20
# The bit of a dislike from which it counts housekeeping CPUs away from the node with most vCPUs.
AWAY = 2 * FIELD


# Sums of two offers that count as one step.
_PAIRS = 4
# Lists of more offers than this are added up as rows where they are.
_FEW = 4
# The bits of a dislike at most.
_DISLIKE = 64


class Pick(NamedTuple):
    """What is chosen for an area, or for a group: the CPUs (or the guest sockets) at least and at most."""

    key: int | tuple[int, ...]
    low: int
    high: int
    reservation: Reservation = Reservation(0, (), Stock())


class Offer(NamedTuple):
    """`housekeeping` CPUs reserved, and at least `low` and at most `high` CPUs for vCPUs, at this price.

    The price counts what is lost against the same area without housekeeping. `dislike` is the last term's, for ties.
    `chosen` are the picks of areas, linked.
    """

    housekeeping: int
    low: int
    high: int
    price: int
    dislike: int
    chosen: Link | None


class Link(NamedTuple):
    """What was picked last, and what before."""

    pick: Pick | None
    before: Link | None = None
    also: Link | None = None

    def picks(self) -> Iterator[Pick]:
        """Yield everything that was chosen."""
        waiting: list[Link | None] = [self]
        while waiting:
            step = waiting.pop()
            if step is not None:
                waiting += [step.before, step.also]
                if step.pick is not None:
                    yield step.pick


def offers_of(area: int, options: Reservations, regime: Regime, threads: int, idle: int) -> list[Offer]:
    """List what one area offers in this regime, none worse than another in everything.

    What leaves more than so many CPUs `idle`, neither housekeeping's nor a vCPU's, is not offered.
    """
    base = options[0][0].stock
    needed = base.cpus(threads) - idle
    found = []
    for cpus, same in options.items():
        for reservation in same:
            for low, high, price in _uses(reservation.stock, base, regime, threads):
                if cpus + high < needed:
                    continue
                if high:
                    link = Link(Pick(area, low, high, reservation))
                    found.append(Offer(cpus, low, high, price << FIELD | 1, 0, link))
                if not low and cpus >= needed:
                    found.append(Offer(cpus, 0, 0, price << FIELD, 0, Link(Pick(area, 0, 0, reservation))))
    return undominated(found)


def _uses(stock: Stock, base: Stock, regime: Regime, threads: int) -> Iterator[tuple[int, int, int]]:
    match regime:
        case Regime.PLENTY:
            yield 0, threads * stock.whole, 0
        case Regime.BESIDE:
            yield threads * stock.whole, threads * stock.wholes, threads * (base.whole - stock.whole)
        case Regime.SPLIT:
            price = (base.wholes - stock.wholes) << FIELD | threads * stock.whole_beside
            low = threads * stock.wholes
            for beside in range(stock.loose_beside + 1):
                yield low, low + stock.loose + beside, price + beside


def undominated(offers: Iterable[T]) -> list[T]:
    """Leave out offers (or what begins like one) that are as dear as another and no more flexible."""
    by_cpus: dict[int, list[T]] = defaultdict(list)
    for offer in sorted(offers, key=_merit):
        kept = by_cpus[offer[0]]
        _, low, high, price, _, _ = offer
        for _, other_low, other_high, other_price, _, _ in kept:
            if other_low <= low and other_high >= high and other_price <= price:
                break
        else:
            kept.append(offer)
    return [offer for _, kept in sorted(by_cpus.items()) for offer in kept]


def _merit(offer: tuple[int, int, int, int, int, object]) -> tuple[int, int, int, int]:
    _, low, high, price, dislike, _ = offer
    return price, -high, low, dislike


class Limits(NamedTuple):
    """What sums of offers may have at most: housekeeping CPUs, price, and CPUs: more do not count.

    With fewer than `least` housekeeping CPUs they are left out.
    """

    housekeeping: int
    price: int
    enough: int
    least: int = 0


def joined(one: Sequence[Offer], other: Sequence[Offer], limits: Limits, effort: Effort) -> list[Offer]:
    """Add up two lists of offers within the limits."""
    most, price, enough, least = limits
    effort.spend(len(one) * len(other) // _PAIRS)
    if len(one) > _FEW < len(other) and one[0].high + other[0].high <= enough and _step(one) == _step(other) > 0:
        return list(_rows_joined(one, other, limits))
    found: dict[tuple[int, int, int], tuple[int, int, Link | None, Link | None]] = {}
    for h, low, high, cost, dislike, chosen in one:
        start = bisect_left(other, least - h, key=itemgetter(0)) if least > h else 0
        for more, further_low, further_high, further_cost, further_dislike, also in other[start:] if start else other:
            if h + more > most:
                break
            dear = cost + further_cost
            if dear <= price:
                total, liked = high + further_high, dislike + further_dislike
                key = h + more, low + further_low, min(enough, total)
                before = found.get(key)
                if before is None or dear < before[0] or (dear == before[0] and liked < before[1]):
                    found[key] = dear, liked, chosen, also
    sums = [(*key, dear, liked, links) for key, (dear, liked, *links) in found.items()]
    return [
        Offer(h, low, high, dear, liked, Link(None, *links))
        for h, low, high, dear, liked, links in (undominated(sums) if len(sums) > 1 else sums)
    ]


def _step(offers: Sequence[Offer]) -> int:
    """Return by how many CPUs each offer moves from vCPUs to housekeeping, at whatever price; 0 where they do more."""
    h, low, high, *_ = offers[0]
    step = offers[1].housekeeping - h
    is_row = all(own[:3] == (h + step * i, low, high - step * i) for i, own in enumerate(offers))
    return step if is_row else 0


def _rows_joined(one: Sequence[Offer], other: Sequence[Offer], limits: Limits) -> Iterator[Offer]:
    """Add up two such rows: the cheapest of those that have as much housekeeping."""
    h, low, high = (own + more for own, more in zip(one[0][:3], other[0][:3], strict=True))
    step, last = one[1].housekeeping - one[0].housekeeping, len(other) - 1
    costs, others = ([(offer.price << _DISLIKE) + offer.dislike for offer in own] for own in (one, other[::-1]))
    for i in range(max(0, -((h - limits.least) // step)), min(len(one) + last, (limits.housekeeping - h) // step + 1)):
        start = max(0, i - last)
        sums = list(map(add, costs[start : i + 1], others[last - i + start :]))
        cost = min(sums)
        at = start + sums.index(cost)
        price, dislike = divmod(cost, 1 << _DISLIKE)
        if price <= limits.price:
            link = Link(None, one[at].chosen, other[i - at].chosen)
            yield Offer(h + step * i, low, high - step * i, price, dislike, link)


def without_areas(offers: Iterable[Offer]) -> list[Offer]:
    """Leave the number of areas used out of the price."""
    return undominated(offer._replace(price=offer.price >> FIELD << FIELD) for offer in offers)
