"""Which CPUs of a node carry its share of the guest cores: the last-level caches, for term 6 of the score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice, product
from operator import itemgetter
from typing import NamedTuple

from launcher.host.model import CPU
from launcher.planner.optimum.effort import Effort, TooLong
from launcher.planner.optimum.reserve import Reservation, combinations, reservations
from launcher.planner.optimum.shelf import Shelf, refined, reserve, stack
from launcher.planner.optimum.stock import Stock
from launcher.planner.optimum.supply import Area
from launcher.planner.rations import Share
from launcher.planner.remainders import alone_or_paired, choice_count, most_groups
from launcher.planner.used import Used, use_of
from launcher.vmi.guest import Topology

# Choices of caches for the housekeeping of one node that are looked at, and steps of dividing its share among caches.
_CHOICES = 30
_DIVIDING_EFFORT = 1_500
# Carvings of one node that are looked at with each of the others, and all of these together.
_CARVINGS = 40
_TOGETHER = 400
# Choices of caches that are looked at for one bound.
_GROUPING_LIMIT = 256
# Caches that may be divided between guest cores and nothing, other than at the end of a guest socket.
_TORN = 2

# Caches used that are not whole guest sockets', caches used, and the CPUs used of each, most first.
_Merit = tuple[int, int, tuple[int, ...]]


class Carving(NamedTuple):
    """The CPUs that carry vCPUs, and those of the housekeeping."""

    open: tuple[CPU, ...]
    housekeeping: tuple[CPU, ...]


def joined(by_node: Sequence[Sequence[Carving]], topology: Topology) -> list[tuple[int, Carving]]:
    """Put together one carving of each node in every way, each with a bound of its term 6, the least bound first.

    Of many, only the first ones of each node are looked at.
    """
    several = sum(1 for ways in by_node if len(ways) > 1)
    most = int(_TOGETHER ** (1 / max(1, several)))
    chosen = [
        Carving(
            tuple(cpu for carving in carvings for cpu in carving.open),
            tuple(cpu for carving in carvings for cpu in carving.housekeeping),
        )
        for carvings in product(*(ways[:most] for ways in by_node))
    ]
    return sorted(((_bound(carving, topology), carving) for carving in chosen), key=itemgetter(0))


def _bound(carving: Carving, topology: Topology) -> int:
    """Bound term 6 from below: the caches used less the most groups of them that hold whole guest sockets."""
    counts, size = list(Counter(cpu.cache for cpu in carving.open).values()), topology.cores * topology.threads
    groups, left = alone_or_paired(counts, size)
    if choice_count(left, counts, size) > _GROUPING_LIMIT:
        return len(counts) - len(groups) - len(left) // 3
    return len(counts) - len(most_groups(counts, size))


def carvings(node: Area, share: Share, topology: Topology) -> list[Carving]:
    """List ways to carve the share out of the node, those first with the fewest caches that are not whole sockets'.

    Terms 2 and 3 are as little as can be in all of them. For 6 they are the likely ways, not all: at most two caches
    are filled in part, but for parts that are whole guest sockets.
    """
    size, effort = topology.cores * topology.threads, Effort(steps=_DIVIDING_EFFORT)
    found: dict[_Merit, tuple[tuple[Reservation, ...], tuple[Used, ...]]] = {}
    with suppress(TooLong):
        for chosen in _reservations(node, share, topology.threads):
            for amounts in _divisions(chosen, share, topology, effort):
                found.setdefault(_merit(amounts, topology.threads, size), (chosen, amounts))
    return [_carved(node, *found[merit], topology.threads) for merit in sorted(found)[:_CARVINGS]]


def _merit(amounts: Sequence[Used], threads: int, size: int) -> _Merit:
    counts = [used.cpus(threads) for used in amounts]
    return sum(1 for n in counts if n % size), sum(1 for n in counts if n), tuple(-n for n in counts)


def _reservations(node: Area, share: Share, threads: int) -> Iterator[tuple[Reservation, ...]]:
    """Yield choices of caches for the housekeeping that cost the guest cores as little as any in terms 2 and 3."""
    options = [reservations(area.histogram(), threads, share.housekeeping) for area in refined(node)]
    priced = []
    for chosen in combinations(options, share.housekeeping, _CHOICES):
        used = use_of(_sum(chosen), share.guest_cores, threads)
        if used is not None:
            priced.append((used.price(threads), chosen))
    least = min(price for price, _ in priced)
    return islice((chosen for price, chosen in priced if price == least), _CHOICES)


def _sum(chosen: Sequence[Reservation]) -> Stock:
    return sum((option.stock for option in chosen), Stock())


def _divisions(
    chosen: Sequence[Reservation], share: Share, topology: Topology, effort: Effort
) -> Iterator[tuple[Used, ...]]:
    """Divide what the share uses of the node among its caches: one use of the four is divided, others all or nothing.

    Few caches come first that are filled in part other than by whole guest sockets.
    """
    stocks, threads = [option.stock for option in chosen], topology.threads
    used = use_of(_sum(chosen), share.guest_cores, threads)
    if used is None:
        raise AssertionError("the reservations leave room for the share")
    rooms = list(zip(*((s.whole, s.whole_beside, s.loose, s.loose_beside) for s in stocks), strict=True))
    part = next((i for i in range(4) if 0 < used[i] < sum(rooms[i])), 0)
    fixed = [room if used[i] and i != part else (0,) * len(stocks) for i, room in enumerate(rooms)]
    unit, size = threads if part < 2 else 1, topology.cores * threads
    bases = [threads * (a + b) + c + d for a, b, c, d in zip(*fixed, strict=True)]
    caches = list(zip(rooms[part], bases, strict=True))
    for amounts in chain.from_iterable(
        _dealt(used[part], caches, (unit, size), torn, effort) for torn in range(1, _TORN + 1)
    ):
        uses = [amounts if i == part else fixed[i] for i in range(4)]
        yield tuple(Used(*of_cache) for of_cache in zip(*uses, strict=True))


def _dealt(
    amount: int, caches: Sequence[tuple[int, int]], sizes: tuple[int, int], torn: int, effort: Effort
) -> Iterator[tuple[int, ...]]:
    """Deal the amount out over caches (room, and CPUs used before), the most first, to at most `torn` untidily.

    Tidy is all or nothing, or as much as makes the CPUs used of the cache those of whole guest sockets; `sizes` are the
    CPUs of one of the amount, and those of a guest socket. Raises TooLong where the effort ends.
    """
    effort.spend()
    if not caches:
        yield ()
        return
    (room, before), rest = caches[0], sum(room for room, _ in caches[1:])
    for here in range(min(amount, room), max(0, amount - rest) - 1, -1):
        is_torn = 0 < here < room and bool((before + here * sizes[0]) % sizes[1])
        if is_torn <= torn:
            for others in _dealt(amount - here, caches[1:], sizes, torn - is_torn, effort):
                yield (here, *others)


def _carved(node: Area, chosen: Sequence[Reservation], amounts: Sequence[Used], threads: int) -> Carving:
    opened: list[CPU] = []
    housekeeping: list[CPU] = []
    for area, option, used in zip(refined(node), chosen, amounts, strict=True):
        reserved = reserve(area, option.takes)
        housekeeping += reserved
        opened += _taken(stack(area, frozenset(reserved), threads), used)
    return Carving(tuple(opened), tuple(housekeeping))


def _taken(shelf: Shelf, used: Used) -> list[CPU]:
    places = (*shelf.whole[: used.whole], *shelf.whole_beside[: used.whole_beside])
    loose = (*shelf.loose[: used.loose], *shelf.loose_beside[: used.loose_beside])
    return [*(cpu for place in places for cpu in place), *loose]
