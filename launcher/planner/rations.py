"""How many guest cores and housekeeping CPUs each node gets where its free pages limit them: the best division first.

Under NUMA passthrough no guest core spans nodes, so terms 2 to 5 of the score are known from these numbers alone: 2 and
3 are sums over the nodes, 5 counts those with guest cores, and 4 is these less the most groups of them that hold whole
guest sockets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from msgspec import Struct

from launcher.planner.cells import PageSupply
from launcher.planner.optimum.effort import Effort
from launcher.planner.optimum.reserve import Reservation, reservations
from launcher.planner.optimum.supply import Area
from launcher.planner.remainders import most_groups
from launcher.planner.used import use_of
from launcher.vmi.guest import Topology

# Sums of the tables for the nodes to come that take as long as a step of the search.
_SUMS_A_STEP = 20


class Share(NamedTuple):
    """What one node gets: guest cores and housekeeping CPUs."""

    guest_cores: int = 0
    housekeeping: int = 0


class Ration(NamedTuple):
    """One division: what it makes of terms 2 and 3 as one number, 4 and 5, and the share of each node in its order."""

    terms: tuple[int, int, int]
    shares: tuple[Share, ...]


class _Option(NamedTuple):
    share: Share
    price: int
    pages: int


class _Partial(NamedTuple):
    """Shares of the first nodes, compared by the least that they can come to; then the nearer to the end first."""

    bound: tuple[int, int, int]
    left: int
    merit: int
    order: tuple[int, ...]
    shares: tuple[Share, ...]
    price: int
    pages: int


class _Tail(Struct, frozen=True, kw_only=True):
    """The nodes from one on: the least price of a share in all, the most pages and the most guest cores of a node."""

    prices: Mapping[Share, int]
    pages: Mapping[int, int]
    room: tuple[int, ...]

    def nodes(self, guest_cores: int) -> int:
        """Count the nodes that these guest cores need at the least."""
        used = 0
        while guest_cores > 0:
            guest_cores -= self.room[used]
            used += 1
        return used


class _Problem(Struct, frozen=True, kw_only=True):
    """The options of each node, large nodes first, and interchangeable ones next to each other."""

    topology: Topology
    all: Share
    pages: int
    options: tuple[tuple[_Option, ...], ...]
    like_last: tuple[bool, ...]
    tails: tuple[_Tail, ...]


def rations(
    nodes: Sequence[Area], topology: Topology, housekeeping: int, supply: PageSupply, effort: Effort
) -> Iterator[Ration]:
    """Yield every division of the guest cores over the nodes that has its pages, by terms 2 to 5 ascending.

    Best first: a division of some nodes is followed by the least that the others can add. Exact; of divisions that
    differ only by interchangeable nodes one is yielded. Raises TooLong where the effort ends.
    """
    options = [_options(node, topology, housekeeping, supply, effort) for node in nodes]
    kinds = [_kind(node, supply) for node in nodes]
    order = sorted(range(len(nodes)), key=lambda i: (-options[i][-1].share.guest_cores, kinds[i], i))
    problem = _Problem(
        topology=topology,
        all=Share(topology.sockets * topology.cores, housekeeping),
        pages=supply.pages,
        options=tuple(options[i] for i in order),
        like_last=tuple(k > 0 and kinds[i] == kinds[order[k - 1]] for k, i in enumerate(order)),
        tails=_tails([options[i] for i in order], supply, housekeeping, effort),
    )
    for terms, shares in _best_first(problem, effort):
        by_node = dict(zip(order, shares, strict=True))
        if supply.suffices({nodes[i].node: share.guest_cores for i, share in by_node.items()}):
            yield Ration(terms, tuple(by_node[i] for i in range(len(nodes))))


def _kind(node: Area, supply: PageSupply) -> tuple[object, ...]:
    """Tell what counts of a node: its free pages, and how large its cores are, by cache."""
    by_cache: dict[int, list[int]] = {}
    for core in node.cores:
        by_cache.setdefault(core.cache, []).append(len(core.cpus))
    return supply.free_on(node.node), sorted(sorted(sizes) for sizes in by_cache.values())


def _options(
    node: Area, topology: Topology, housekeeping: int, supply: PageSupply, effort: Effort
) -> tuple[_Option, ...]:
    """List what the node may get, by guest cores ascending."""
    found = []
    by_cpus = reservations(node.histogram(), topology.threads, housekeeping)
    for count in range(topology.sockets * topology.cores + 1):
        pages = supply.most(node.node, count)
        if pages is None:
            break
        for cpus, choices in by_cpus.items():
            effort.spend()
            prices = list(_prices(choices, count, topology.threads))
            if prices:
                found.append(_Option(Share(count, cpus), min(prices), pages))
    return tuple(found)


def _prices(choices: Iterable[Reservation], guest_cores: int, threads: int) -> Iterator[int]:
    for choice in choices:
        used = use_of(choice.stock, guest_cores, threads)
        if used is not None:
            yield used.price(threads)


def _tails(
    options: Sequence[Sequence[_Option]], supply: PageSupply, housekeeping: int, effort: Effort
) -> tuple[_Tail, ...]:
    """Sum up the nodes from each one on, the last (none) first; it is what is left when a node has its share."""
    tail = _Tail(prices={Share(): 0}, pages={0: 0}, room=())
    tails = [tail]
    for of_node in reversed(options):
        effort.spend(len(of_node) * len(tail.prices) // _SUMS_A_STEP)
        tail = _Tail(
            prices=_prices_with(tail, of_node, Share(supply.guest_cores, housekeeping)),
            pages=_pages_with(tail, of_node, supply.guest_cores),
            room=tuple(sorted((of_node[-1].share.guest_cores, *tail.room), reverse=True)),
        )
        tails.append(tail)
    return tuple(reversed(tails))


def _prices_with(tail: _Tail, options: Sequence[_Option], most: Share) -> dict[Share, int]:
    prices: dict[Share, int] = {}
    for (guest_cores, housekeeping), before in tail.prices.items():
        for (more, cpus), price, _ in options:
            both = Share(guest_cores + more, housekeeping + cpus)
            if both.guest_cores <= most.guest_cores and both.housekeeping <= most.housekeeping:
                prices[both] = min(before + price, prices.get(both, before + price))
    return prices


def _pages_with(tail: _Tail, options: Sequence[_Option], most: int) -> dict[int, int]:
    pages: dict[int, int] = {}
    by_cores = {option.share.guest_cores: option.pages for option in options}
    for guest_cores, before in tail.pages.items():
        for more, given in by_cores.items():
            if guest_cores + more <= most:
                pages[guest_cores + more] = max(before + given, pages.get(guest_cores + more, 0))
    return pages


def _best_first(problem: _Problem, effort: Effort) -> Iterator[tuple[tuple[int, int, int], tuple[Share, ...]]]:
    heap = [_Partial((0, 0, 0), len(problem.options), 0, (), (), 0, 0)]
    while heap:
        partial = heappop(heap)
        if not partial.left:
            yield partial.bound, partial.shares
            continue
        for further in _further(partial, problem):
            effort.spend()
            heappush(heap, further)


def _further(partial: _Partial, problem: _Problem) -> Iterator[_Partial]:
    """Give the next node each of its options which the others can make up to a whole."""
    position = len(partial.shares)
    tail = problem.tails[position + 1]
    left = Share(
        problem.all.guest_cores - sum(share.guest_cores for share in partial.shares),
        problem.all.housekeeping - sum(share.housekeeping for share in partial.shares),
    )
    for share, price, pages in problem.options[position]:
        if problem.like_last[position] and share > partial.shares[-1]:
            break
        rest = Share(left.guest_cores - share.guest_cores, left.housekeeping - share.housekeeping)
        if rest in tail.prices and partial.pages + pages + tail.pages[rest.guest_cores] >= problem.pages:
            shares = (*partial.shares, share)
            yield _Partial(
                bound=_bound(shares, rest, partial.price + price, problem),
                left=partial.left - 1,
                merit=partial.merit - share.guest_cores * share.housekeeping,
                order=(*partial.order, -share.guest_cores, share.housekeeping),
                shares=shares,
                price=partial.price + price,
                pages=partial.pages + pages,
            )


def _bound(shares: Sequence[Share], rest: Share, price: int, problem: _Problem) -> tuple[int, int, int]:
    """Bound terms 2 to 5 from below; where every node has its share they are exact.

    A group of nodes holds one guest socket at least, and is one node, or has two nodes with parts of sockets or more.
    """
    tail, topology = problem.tails[len(shares)], problem.topology
    counts = [share.guest_cores for share in shares if share.guest_cores]
    used = len(counts) + tail.nodes(rest.guest_cores)
    if len(shares) == len(problem.options):
        crossings = used - len(most_groups(counts, topology.cores))
    else:
        parts = sum(1 for count in counts if count % topology.cores)
        crossings = max(used - topology.sockets, -(-parts // 2))
    return price + tail.prices[rest], crossings, used
