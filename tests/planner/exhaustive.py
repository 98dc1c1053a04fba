"""An exhaustive search for the best score, independent of the planner: every placement, up to what is interchangeable.

It seats one guest core after the other on host cores, remembering what is left of each kind of host core. Host cores
with equally many free CPUs below the same cache of the same node are interchangeable, and so are the CPUs of a core,
and whole caches and nodes with the same things left (but for their names); nothing else is assumed, no bound and no
preference prunes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from launcher.host.model import CPU
from launcher.planner.model import Score
from launcher.vmi.guest import Topology

# A host core: its node, its cache, its free CPUs, and whether it carries a housekeeping CPU.
Slot = tuple[int, int, int, bool]
# How many host cores there are of each kind, sorted.
Stock = tuple[tuple[Slot, int], ...]
# Terms 1, 2, 3, 4 and 6; term 5 is fixed by the nodes that are searched.
Terms = tuple[int, int, int, int, int]


def best_score(cpus: Sequence[CPU], topology: Topology, housekeeping: int) -> Score:
    """Return the least score of any placement on exactly these CPUs or some of them."""
    nodes = sorted({cpu.node for cpu in cpus})
    stocks = sorted(set(_reserved(_stock(cpus), housekeeping)))
    search = _Search(topology)
    scores = [
        score
        for count in range(1, len(nodes) + 1)
        for used in combinations(nodes, count)
        for score in _scores_on(frozenset(used), stocks, search)
    ]
    return min(scores)


def _scores_on(nodes: frozenset[int], stocks: Sequence[Stock], search: _Search) -> Iterator[Score]:
    for stock in stocks:
        terms = search.rest(tuple(entry for entry in stock if entry[0][0] in nodes), 0, frozenset(), frozenset())
        if terms is not None:
            yield Score(
                cores_across_nodes=terms[0],
                cores_split=terms[1],
                vcpus_beside_housekeeping=terms[2],
                node_crossings=terms[3],
                nodes_used=len(nodes),
                cache_crossings=terms[4],
            )


def _stock(cpus: Sequence[CPU]) -> Stock:
    cores = Counter((cpu.node, cpu.cache, cpu.core) for cpu in cpus)
    return _sorted(Counter((node, cache, free, False) for (node, cache, _), free in cores.items()))


def _sorted(counts: Mapping[Slot, int]) -> Stock:
    return tuple(sorted((slot, count) for slot, count in counts.items() if count and slot[2]))


def _reserved(stock: Stock, count: int) -> Iterator[Stock]:
    if not count:
        yield stock
        return
    for slot, _ in stock:
        node, cache, free, _ = slot
        yield from _reserved(_moved(stock, slot, (node, cache, free - 1, True)), count - 1)


def _moved(stock: Stock, before: Slot, after: Slot) -> Stock:
    counts = Counter(dict(stock))
    counts[before] -= 1
    counts[after] += 1
    return _sorted(counts)


@dataclass
class _Search:
    """The search of one guest, with what it found so far."""

    topology: Topology
    known: dict[tuple[Stock, int, frozenset[int], frozenset[int]], Terms | None] = field(default_factory=dict)
    seats: dict[tuple[Stock, int], tuple[tuple[Stock, tuple[Slot, ...]], ...]] = field(default_factory=dict)

    def rest(self, stock: Stock, done: int, nodes: frozenset[int], caches: frozenset[int]) -> Terms | None:
        """Return the least terms of the guest cores after `done`; `nodes` and `caches` are the socket's so far."""
        if done % self.topology.cores == 0:
            nodes = caches = frozenset()
        if done == self.topology.sockets * self.topology.cores:
            return (0, 0, 0, 0, 0)
        found = stock, done, nodes, caches
        if found not in self.known:
            stock, nodes, caches = _renamed(stock, nodes, caches)
            key = stock, done, nodes, caches
            if key not in self.known:
                self.known[key] = min(self._next(stock, done, nodes, caches), default=None)
            self.known[found] = self.known[key]
        return self.known[found]

    def _next(self, stock: Stock, done: int, nodes: frozenset[int], caches: frozenset[int]) -> Iterator[Terms]:
        for left, taken in self._seats(stock):
            now_nodes = nodes | {slot[0] for slot in taken}
            now_caches = caches | {slot[1] for slot in taken}
            rest = self.rest(left, done + 1, now_nodes, now_caches)
            if rest is None:
                continue
            yield (
                rest[0] + (len({slot[0] for slot in taken}) > 1),
                rest[1] + (len(taken) > 1),
                rest[2] + sum(slot[2] for slot in taken if slot[3]),
                rest[3] + len(now_nodes) - max(1, len(nodes)),
                rest[4] + len(now_caches) - max(1, len(caches)),
            )

    def _seats(self, stock: Stock) -> tuple[tuple[Stock, tuple[Slot, ...]], ...]:
        """Return the ways to seat one guest core: what is left, and (node, cache, CPUs taken, beside) per host core."""
        key = stock, self.topology.threads
        if key not in self.seats:
            self.seats[key] = tuple(set(_seatings(stock, (), self.topology.threads)))
        return self.seats[key]


def _renamed(
    stock: Stock, nodes: frozenset[int], caches: frozenset[int]
) -> tuple[Stock, frozenset[int], frozenset[int]]:
    """Number caches and nodes by what is left of them and whether the socket uses them; not where caches span nodes."""
    insides: dict[int, dict[int, list[tuple[int, bool, int]]]] = {}
    for (node, cache, free, beside), count in stock:
        insides.setdefault(node, {}).setdefault(cache, []).append((free, beside, count))
    if sum(len(inside) for inside in insides.values()) > len(
        {cache for inside in insides.values() for cache in inside}
    ):
        return stock, nodes, caches
    shapes = sorted(
        (node in nodes, sorted((cache in caches, cores) for cache, cores in inside.items()))
        for node, inside in insides.items()
    )
    # Nodes and caches with nothing left keep no name; only how many of them the socket uses would be lost.
    gone = range(-1, -1 - len(nodes - insides.keys()), -1)
    left_caches = {cache for inside in insides.values() for cache in inside}
    gone_caches = range(-1, -1 - len(caches - left_caches), -1)
    renamed: list[tuple[Slot, int]] = []
    used_nodes, used_caches, name = set(gone), set(gone_caches), 0
    for number, (node_used, inside) in enumerate(shapes):
        used_nodes |= {number} if node_used else set()
        for cache_used, cores in inside:
            used_caches |= {name} if cache_used else set()
            renamed += [((number, name, free, beside), count) for free, beside, count in cores]
            name += 1
    return tuple(sorted(renamed)), frozenset(used_nodes), frozenset(used_caches)


def _seatings(stock: Stock, rest: Stock, threads: int) -> Iterator[tuple[Stock, tuple[Slot, ...]]]:
    """Yield the ways to take `threads` CPUs: of the first kind of core some, of the later ones the others."""
    if not threads:
        yield _merged(stock, rest), ()
        return
    if not stock:
        return
    (slot, count), later = stock[0], stock[1:]
    yield from _seatings(later, (*rest, (slot, count)), threads)
    node, cache, free, beside = slot
    for taken in range(1, min(free, threads) + 1):
        remains = (*rest, ((node, cache, free - taken, beside), 1))
        same_kind = ((slot, count - 1),) if count > 1 else ()
        for left, others in _seatings(same_kind + later, remains, threads - taken):
            yield left, tuple(sorted(((node, cache, taken, beside), *others)))


def _merged(*stocks: Stock) -> Stock:
    counts: dict[Slot, int] = {}
    for stock in stocks:
        for slot, count in stock:
            counts[slot] = counts.get(slot, 0) + count
    return _sorted(counts)
