"""The search that gives CPUs to one mover after the other, then to the housekeeping.

Of states that have the same outcome only the best goes on, and after every turn only as many as the effort allows, the
best ones. (To rank them by bounds of what the rest costs was tried, and found nothing better on 450 random machines.)
Free CPUs that nothing tells apart are of one kind, of which the lowest is taken: those on host cores below one cache
that have as many free CPUs, vCPUs and housekeeping.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from launcher.planner.optimum.vacancy import Turn, Vacancy, turns
from launcher.vmi.guest import Topology

# One of each term in the order of the objective; before these a vCPU away from the node of its cell, and a vCPU or
# housekeeping where the other should be; after them a vCPU far from the guest's devices, and housekeeping that moves.
# No count reaches what comes before it.
_PRICES = tuple(1 << 16 * place for place in reversed(range(10)))
_AWAY, _LOUD, _ACROSS, _SPLIT, _BESIDE, _NODE_CROSSING, _NODE, _CACHE_CROSSING, _FAR, _MOVED = _PRICES
# How many states are looked at in all, a tenth of a second; but after every turn at least so many go on.
_EFFORT = 8_000
_NARROWEST = 4
_TAKEN = -1
_NOWHERE: frozenset[int] = frozenset()

# Tells whether these guest cores by node are wanted.
Accepts = Callable[[Mapping[int, int]], bool]
# Whether a CPU was housekeeping's, and whether it is quiet.
_Mark = tuple[bool, bool]


class Core(NamedTuple):
    """A host core: where it lies, its free CPUs, what else is on it, and its guest cores of which vCPUs are to come."""

    node: int
    cache: int
    free: tuple[_Mark, ...]
    vcpus: int
    is_reserved: bool
    guest_cores: frozenset[int]


class State(NamedTuple):
    """What was chosen and what that costs, the kind of every free CPU, and where what is begun lies."""

    price: int
    # Positions among the free CPUs.
    chosen: tuple[int, ...]
    kinds: tuple[int, ...]
    nodes: frozenset[int]
    core_nodes: frozenset[int] = _NOWHERE
    is_split: bool = False
    socket_nodes: frozenset[int] = _NOWHERE
    socket_caches: frozenset[int] = _NOWHERE

    @property
    def outcome(self) -> tuple[object, ...]:
        """All that the ways to go on depend on."""
        return tuple(sorted(self.kinds)), self[3:]


def best_state(vacancy: Vacancy, topology: Topology, accepts: Accepts | None = None) -> tuple[State | None, bool]:
    """Return the best last state that was found, and whether none that was left out can lead to a better score.

    With `accepts` no guest core lies on two nodes, and the numbers of guest cores by node are such that it says yes;
    None where none of these was found.
    """
    states, last, effort = States(vacancy, topology.threads), len(vacancy.movers) - 1, _EFFORT
    best, left_out = [states.first], list[int]()
    order = [*turns(vacancy, topology), *[None] * vacancy.housekeeping]
    for number, turn in enumerate(order):
        found: dict[tuple[object, ...], State] = {}
        for further in (further for state in best for further in states.further(state, turn)):
            known = found.setdefault(further.outcome, further)
            if further[:2] < known[:2]:
                found[further.outcome] = further
        effort -= len(found)
        fan = -(-len(found) // len(best))
        width = max(_NARROWEST, effort // (len(order) - number) // fan)
        ranked = sorted(found.values(), key=lambda state: state[:2])
        if accepts is not None:
            ranked = [state for state in ranked if state.price < _ACROSS]
        if accepts is not None and number == last:
            ranked = [state for state in ranked if accepts(states.guest_cores(state))]
        best = ranked[:width]
        left_out += [state.price for state in ranked[width : width + 1]]
        if not best:
            return None, not left_out
    return best[0], all(price // _CACHE_CROSSING >= best[0].price // _CACHE_CROSSING for price in left_out)


class States:
    """The steps from state to state for one vacancy; kinds of CPUs are numbered as they are met."""

    def __init__(self, vacancy: Vacancy, threads: int) -> None:
        """Look at what there is before anything is chosen."""
        self._vacancy, self._threads = vacancy, threads
        self._marks = [(cpu.cpu in vacancy.preferred, cpu.cpu in vacancy.quiet) for cpu in vacancy.free]
        self._kinds: list[tuple[Core, _Mark]] = []
        self._numbers: dict[tuple[Core, _Mark], int] = {}
        self._on_core: dict[int, list[int]] = defaultdict(list)
        for position, cpu in enumerate(vacancy.free):
            self._on_core[cpu.core].append(position)
        vcpus: dict[int, list[int]] = defaultdict(list)
        for vcpu, cpu in vacancy.kept.items():
            vcpus[cpu.core].append(vcpu)
        moving = {vcpu // threads for vcpu in vacancy.movers}
        cores = {}
        for core, positions in self._on_core.items():
            first, kept = vacancy.free[positions[0]], vcpus[core]
            cores[core] = Core(
                node=first.node,
                cache=first.cache,
                free=tuple(sorted(self._marks[position] for position in positions)),
                vcpus=len(kept),
                is_reserved=any(cpu.core == core for cpu in vacancy.fixed_housekeeping),
                guest_cores=frozenset(vcpu // threads for vcpu in kept) & moving,
            )
        self.first = State(
            price=0,
            chosen=(),
            kinds=tuple(self._kind(cores[cpu.core], position) for position, cpu in enumerate(vacancy.free)),
            nodes=frozenset(cpu.node for cpu in vacancy.kept.values()),
        )

    def guest_cores(self, state: State) -> Mapping[int, int]:
        """Count the movers' guest cores by node, all of whose vCPUs are movers."""
        cpus = Counter(self._vacancy.free[position].node for position in state.chosen[: len(self._vacancy.movers)])
        return {node: count // self._threads for node, count in cpus.items()}

    def further(self, state: State, turn: Turn | None) -> Iterator[State]:
        """Give the mover whose turn it is, else a housekeeping CPU, a free CPU of each kind."""
        lowest = dict(zip(reversed(state.kinds), reversed(range(len(state.kinds))), strict=True))
        for kind, position in lowest.items():
            if kind != _TAKEN:
                core, mark = self._kinds[kind]
                at = core.free.index(mark)
                left = core._replace(free=core.free[:at] + core.free[at + 1 :])
                if turn is None:
                    yield self._reserved(state, left, position)
                else:
                    yield self._seated(state, turn, left, position)

    def _seated(self, state: State, turn: Turn, core: Core, position: int) -> State:
        is_quiet = self._marks[position][1]
        node, cache, guest_cores = core.node, core.cache, core.guest_cores
        core_nodes, was_split = state.core_nodes | turn.core_nodes, state.is_split or turn.is_split
        socket_nodes, socket_caches = state.socket_nodes | turn.socket_nodes, state.socket_caches | turn.socket_caches
        # Split it is as soon as the rest of the guest core does not find room beside this vCPU.
        has_room = len(core.free) >= turn.rest_of_core and (turn.guest_core in guest_cores or not core_nodes)
        price = (
            _AWAY * (turn.home not in (None, node))
            + _LOUD * (bool(self._vacancy.quiet) and not is_quiet)
            + _ACROSS * (len(core_nodes) == 1 and node not in core_nodes)
            + _SPLIT * (not was_split and not has_room)
            + _BESIDE * core.is_reserved
            + _NODE_CROSSING * (bool(socket_nodes) and node not in socket_nodes)
            + _NODE * (node not in state.nodes)
            + _CACHE_CROSSING * (bool(socket_caches) and cache not in socket_caches)
            + _FAR * (bool(self._vacancy.device_nodes) and node not in self._vacancy.device_nodes)
        )
        if turn.rest_of_core:
            guest_cores |= {turn.guest_core}
        after = core._replace(vcpus=core.vcpus + 1, guest_cores=guest_cores)
        done = turn.guest_core if core_nodes and not turn.rest_of_core else None
        return State(
            price=state.price + price,
            chosen=(*state.chosen, position),
            kinds=self._without(state, position, after, done),
            nodes=state.nodes | {node},
            core_nodes=core_nodes | {node} if turn.rest_of_core else _NOWHERE,
            is_split=(was_split or not has_room) and turn.rest_of_core > 0,
            socket_nodes=socket_nodes | {node} if turn.rest_of_socket else _NOWHERE,
            socket_caches=socket_caches | {cache} if turn.rest_of_socket else _NOWHERE,
        )

    def _reserved(self, state: State, core: Core, position: int) -> State:
        is_preferred, is_quiet = self._marks[position]
        price = _LOUD * is_quiet + _BESIDE * (0 if core.is_reserved else core.vcpus) + _MOVED * (not is_preferred)
        movers = len(self._vacancy.movers)
        chosen = (*state.chosen[:movers], *sorted((*state.chosen[movers:], position)))
        kinds = self._without(state, position, core._replace(is_reserved=True))
        return state._replace(price=state.price + price, chosen=chosen, kinds=kinds)

    def _without(self, state: State, position: int, core: Core, done: int | None = None) -> tuple[int, ...]:
        """Take this CPU; its core is left like that. A guest core that is done tells cores apart no longer."""
        kinds = list(state.kinds)
        kinds[position] = _TAKEN
        for other in self._on_core[self._vacancy.free[position].core]:
            if kinds[other] != _TAKEN:
                kinds[other] = self._kind(core, other)
        for other, kind in enumerate(kinds if done is not None else ()):
            own = self._kinds[kind][0]
            if kind != _TAKEN and done in own.guest_cores:
                kinds[other] = self._kind(own._replace(guest_cores=own.guest_cores - {done}), other)
        return tuple(kinds)

    def _kind(self, core: Core, position: int) -> int:
        kind = core, self._marks[position]
        number = self._numbers.setdefault(kind, len(self._kinds))
        if number == len(self._kinds):
            self._kinds.append(kind)
        return number
