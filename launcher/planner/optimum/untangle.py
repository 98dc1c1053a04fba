"""The exact search, guest core by guest core, for the two cases that the division into groups only bounds.

Where a guest core of three or more threads lies on three areas, no line through the areas may do what the division
promises. And where a last-level cache spans nodes, two areas may be one step apart for a node and none for a cache.
Then guest core after guest core is seated in every way that differs, with what is left of each area as the state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import comb

from msgspec import Struct, field

from launcher.planner.optimum.effort import Effort, TooLong
from launcher.planner.optimum.seating import GuestCore, GuestSocket
from launcher.planner.optimum.shelf import Shelf
from launcher.planner.optimum.stock import Stock
from launcher.vmi.guest import Topology

# The search recurses once for each guest core; with so many it would be too long anyway.
_CORE_LIMIT = 64

# What is left of each area.
_State = tuple[Stock, ...]
# One guest core: for each area touched its index and what is taken of it.
_Seat = tuple[tuple[int, Stock], ...]
# Tells whether these guest cores by node are wanted.
Accepts = Callable[[Mapping[int, int]], bool]
# Terms 1 to 6.
_Terms = tuple[int, ...]
_NEVER: _Terms = (1 << 20, 0, 0, 0, 0, 0)


def untangle(
    shelves: Sequence[Shelf], topology: Topology, effort: Effort, accepts: Accepts | None = None
) -> list[GuestSocket] | None:
    """Seat the guest with the least terms 1 to 6; raises TooLong where the effort does not suffice.

    With `accepts` no guest core lies on two nodes, and the numbers of guest cores by node are such that it says yes;
    None where there are none.
    """
    open_areas = sum(bool(shelf.stock.looses) for shelf in shelves)
    ways_to_split = comb(open_areas + topology.threads, topology.threads)
    if topology.sockets * topology.cores > _CORE_LIMIT or ways_to_split > effort.steps:
        raise TooLong
    start = tuple(shelf.stock for shelf in shelves)
    search = _Search(shelves=shelves, topology=topology, start=start, effort=effort, accepts=accepts)
    terms, seats = search.best(start, 0, (), frozenset())
    return None if terms >= _NEVER else _taken(shelves, seats, topology)


class _Search(Struct):
    """One search, with the best way on from each state that it met."""

    shelves: Sequence[Shelf]
    topology: Topology
    start: _State
    effort: Effort
    accepts: Accepts | None
    known: dict[object, tuple[_Terms, tuple[_Seat, ...]]] = field(default_factory=dict)
    seats: dict[_State, list[_Seat]] = field(default_factory=dict)

    def best(self, state: _State, done: int, last: _Seat, areas: frozenset[int]) -> tuple[_Terms, tuple[_Seat, ...]]:
        """Find the least terms for the guest cores from `done` on; `areas` are those the socket uses so far.

        The cores of a socket are seated in ascending order, which loses nothing: `last` is the one before.
        """
        if done == self.topology.sockets * self.topology.cores:
            return self._end(state), ()
        if done % self.topology.cores == 0:
            last, areas = (), frozenset()
        key = state, done, last, areas
        if key not in self.known:
            self.known[key] = min(self._ways(state, done, last, areas), default=(_NEVER, ()))
        return self.known[key]

    def _ways(
        self, state: _State, done: int, last: _Seat, areas: frozenset[int]
    ) -> Iterator[tuple[_Terms, tuple[_Seat, ...]]]:
        for seat in self._seats(state):
            if seat < last:
                continue
            self.effort.spend()
            now = areas | {index for index, _ in seat}
            rest, seats = self.best(_without(state, seat), done + 1, seat, now)
            own = self._terms(seat, areas, now)
            yield tuple(map(sum, zip(rest, own, strict=True))), (seat, *seats)

    def _terms(self, seat: _Seat, before: frozenset[int], now: frozenset[int]) -> _Terms:
        split = not any(taken.wholes for _, taken in seat)
        beside = sum(taken.whole_beside * self.topology.threads + taken.loose_beside for _, taken in seat)
        nodes, caches = ((count - max(1, old)) for count, old in zip(self._used(now), self._used(before), strict=True))
        return self._is_across(seat), split, beside, nodes, 0, caches

    def _used(self, areas: frozenset[int]) -> tuple[int, int]:
        """Count the nodes and the caches of areas."""
        shelves = [self.shelves[index] for index in areas]
        return len({shelf.node for shelf in shelves}), len({shelf.cache for shelf in shelves})

    def _end(self, state: _State) -> _Terms:
        """Count the nodes used in all."""
        used: Counter[int] = Counter()
        for shelf, before, left in zip(self.shelves, self.start, state, strict=True):
            used[shelf.node] += before.cpus(self.topology.threads) - left.cpus(self.topology.threads)
        # With `accepts` none of the guest cores lies on two nodes.
        cores = {node: cpus // self.topology.threads for node, cpus in used.items() if cpus}
        return (0, 0, 0, 0, len(cores), 0) if self.accepts is None or self.accepts(cores) else _NEVER

    def _seats(self, state: _State) -> list[_Seat]:
        if state not in self.seats:
            seats = sorted({*_whole_seats(state), *self._split_seats(state, 0, self.topology.threads)})
            self.seats[state] = [seat for seat in seats if self.accepts is None or not self._is_across(seat)]
        return self.seats[state]

    def _is_across(self, seat: _Seat) -> bool:
        return len({self.shelves[index].node for index, _ in seat}) > 1

    def _split_seats(self, state: _State, first: int, threads: int) -> Iterator[_Seat]:
        """Yield the ways to take `threads` loose CPUs of the areas from `first` on, of each the quiet ones first."""
        self.effort.spend()
        if not threads:
            yield ()
            return
        for index in range(first, len(state)):
            for count in range(1, min(threads, state[index].looses) + 1):
                quiet = min(count, state[index].loose)
                for rest in self._split_seats(state, index + 1, threads - count):
                    yield ((index, Stock(loose=quiet, loose_beside=count - quiet)), *rest)


def _whole_seats(state: _State) -> Iterator[_Seat]:
    for index, left in enumerate(state):
        if left.whole:
            yield ((index, Stock(whole=1)),)
        if left.whole_beside:
            yield ((index, Stock(whole_beside=1)),)


def _without(state: _State, seat: _Seat) -> _State:
    left = list(state)
    for index, taken in seat:
        left[index] = Stock(*(before - gone for before, gone in zip(left[index], taken, strict=True)))
    return tuple(left)


def _taken(shelves: Sequence[Shelf], seats: Sequence[_Seat], topology: Topology) -> list[GuestSocket]:
    """Take the CPUs off the shelves."""
    supplies = [
        (iter(shelf.whole), iter(shelf.whole_beside), iter(shelf.loose), iter(shelf.loose_beside)) for shelf in shelves
    ]
    cores: list[GuestCore] = []
    for seat in seats:
        core: GuestCore = ()
        for index, taken in seat:
            whole, whole_beside, loose, loose_beside = supplies[index]
            places = whole if taken.whole else whole_beside if taken.whole_beside else ()
            core += next(iter(places), ())
            core += tuple(next(loose) for _ in range(taken.loose))
            core += tuple(next(loose_beside) for _ in range(taken.loose_beside))
        cores.append(core)
    return [tuple(cores[start : start + topology.cores]) for start in range(0, len(cores), topology.cores)]
