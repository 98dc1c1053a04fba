"""The optimal placement: which CPUs the vCPUs and the housekeeping get, out of the free ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from launcher.host.model import CPU
from launcher.planner.model import Score
from launcher.planner.optimum.areas import divide_areas
from launcher.planner.optimum.groups import Settled
from launcher.planner.optimum.nodes import divide_nodes
from launcher.planner.optimum.seating import chunks, number_vcpus, reserve, seat, stack
from launcher.planner.optimum.steps import Accepts, best_state
from launcher.planner.optimum.supply import Area, Core, fine_areas, free_cores
from launcher.planner.optimum.survey import survey, with_dislikes
from launcher.planner.optimum.vacancy import Vacancy
from launcher.planner.terms import TERMS, score, values
from launcher.vmi.guest import Topology

# CPUs for which the search in turns is tried: for more it would find nothing within its effort.
_MOST_TURNS = 32


class Placement(Struct, frozen=True, kw_only=True):
    """The host CPU of each vCPU, by vCPU id, the housekeeping CPUs ascending, and what this scores.

    The search has excluded that any of the first `sure` terms of the score can be less.
    """

    vcpus: tuple[CPU, ...]
    housekeeping: tuple[CPU, ...]
    score: Score
    sure: int = 0


def place(cpus: Iterable[CPU], topology: Topology, housekeeping: int) -> Placement:
    """Place the guest's vCPUs and `housekeeping` reserved CPUs on the free CPUs, best by terms 1 to 6 in their order.

    Ties go to housekeeping on the node with most vCPUs, then to vCPUs of one thread each on separate cores, then to the
    lowest CPU numbers. The result depends on the set of CPUs alone. The caller makes sure that there are vCPUs +
    housekeeping CPUs.
    """
    placement = place_within(cpus, topology, housekeeping, {})
    if placement is None:
        raise AssertionError("all areas together hold the guest")
    return placement


def apart_from(cpus: Iterable[CPU], chosen: Collection[CPU], vcpus: int, housekeeping: int) -> tuple[CPU, ...] | None:
    """Choose housekeeping CPUs of those that are not chosen for vCPUs, the least capable first.

    None where the chosen ones do not hold the vCPUs and what housekeeping is left.
    """
    inside = frozenset(cpu.cpu for cpu in chosen)
    rest = sorted((cpu for cpu in cpus if cpu.cpu not in inside), key=lambda cpu: (-cpu.kind, cpu.cpu))
    apart = tuple(rest[:housekeeping])
    return apart if len(chosen) >= vcpus + housekeeping - len(apart) else None


def joined_by(placement: Placement, housekeeping: Sequence[CPU], topology: Topology) -> Placement:
    """Return the placement with further housekeeping CPUs."""
    if not housekeeping:
        return placement
    everything = (*placement.housekeeping, *housekeeping)
    return replace(scored(placement.vcpus, everything, topology), sure=placement.sure)


def place_within(
    cpus: Iterable[CPU], topology: Topology, housekeeping: int, most_cores: Mapping[int, int]
) -> Placement | None:
    """Place as `place` does, with at most so many guest cores on nodes; with any such limit none lies on two nodes.

    None where there is no such placement.
    """

    def best_of(cores: Sequence[Core]) -> Placement | None:
        return _best(cores, topology, housekeeping, most_cores)

    cores = free_cores(cpus)
    best = best_of(cores)
    needed = topology.vcpus + housekeeping
    if best is None or topology.threads > 1 or _are_apart(best) or len(cores) < needed:
        return best
    # As good a one in which no two vCPUs share a host core; a heuristic where cores are scarce.
    apart = best_of(free_cores(core.cpus[0] for core in cores))
    if apart is None:
        return best
    kept = {cpu.core for cpu in apart.housekeeping}
    # As few of the cores that housekeeping has to itself as it needs.
    reserved = tuple(cpu for core in cores if core.core in kept for cpu in core.cpus)[:housekeeping]
    found = replace(scored(apart.vcpus, reserved, topology), sure=best.sure)
    return found if (found.score, _away(found)) <= (best.score, _away(best)) else best


def _are_apart(placement: Placement) -> bool:
    return len({cpu.core for cpu in placement.vcpus}) == len(placement.vcpus)


def _away(placement: Placement) -> int:
    """Count the housekeeping CPUs that are not on the node with most vCPUs."""
    vcpus = Counter(cpu.node for cpu in placement.vcpus)
    most = max(vcpus.values())
    return sum(vcpus[cpu.node] < most for cpu in placement.housekeeping)


def _best(
    cores: Sequence[Core], topology: Topology, housekeeping: int, most_cores: Mapping[int, int]
) -> Placement | None:
    areas = fine_areas(cores)
    most = {node: topology.threads * count for node, count in most_cores.items()}
    ground = survey(areas, topology, housekeeping, most)
    if ground is None:
        return None
    nodes = divide_nodes(ground)
    ground = with_dislikes(ground, nodes.settled)
    settled, is_least = divide_areas(ground, nodes)
    promised = nodes.crossings, nodes.used, ground.crossed_by(settled)
    sure = 3 if not nodes.is_least else 6 if is_least else 5
    best = _seated(settled, areas, topology)
    if values(best.score)[3:] <= promised:
        return replace(best, sure=sure)

    def accepts(by_node: Mapping[int, int]) -> bool:
        return all(count <= most_cores.get(node, count) for node, count in by_node.items())

    cpus = [cpu for core in cores for cpu in core.cpus]
    other = place_in_turns(cpus, topology, housekeeping, accepts if most_cores else None)
    if other is not None and (other.sure or other.score < best.score):
        best = other
    # What is as was promised is as sure as the promise.
    terms = values(best.score)[3:]
    kept = next((index for index, promise in enumerate(promised) if terms[index] > promise), len(terms))
    return replace(best, sure=max(best.sure, min(sure, 3 + kept)))


def _seated(settled: Settled, areas: Sequence[Area], topology: Topology) -> Placement:
    """Seat the groups, each along its areas."""
    reserved = [reserve(area, settled.reservations[index].takes) for index, area in enumerate(areas)]
    shelves = [stack(area, frozenset(own), topology.threads) for area, own in zip(areas, reserved, strict=True)]
    for index, stock in settled.kept.items():
        shelves[index] = shelves[index].within(stock)
    groups = (([shelves[index] for index in group], count) for group, count in settled.groups)
    sockets = [socket for own, count in groups for socket in seat(own, count, topology)]
    return scored(number_vcpus(sockets), (cpu for cpus in reserved for cpu in cpus), topology)


def place_in_turns(
    cpus: Iterable[CPU], topology: Topology, housekeeping: int, accepts: Accepts | None
) -> Placement | None:
    """Place a small guest one CPU after the other.

    That is for guest cores of three and more threads on three areas, for caches that span nodes, and for what
    `accepts` asks: the division into groups only bounds these. None where nothing was found.
    """
    free = tuple(sorted(cpus, key=lambda cpu: cpu.cpu))
    if topology.vcpus + housekeeping > _MOST_TURNS:
        return None
    vacancy = Vacancy(movers=tuple(range(topology.vcpus)), free=free, housekeeping=housekeeping)
    found = settled_in_turns(vacancy, topology, accepts)
    if found is None:
        return None
    sockets = chunks(chunks(found.vcpus, topology.threads), topology.cores)
    return replace(found, vcpus=number_vcpus(sockets))


def settled_in_turns(vacancy: Vacancy, topology: Topology, accepts: Accepts | None = None) -> Placement | None:
    """Choose the movers' and the housekeeping's CPUs one after the other; see `best_state`."""
    state, is_least = best_state(vacancy, topology, accepts)
    if state is None:
        return None
    chosen, count = [vacancy.free[position] for position in state.chosen], len(vacancy.movers)
    vcpus = {**vacancy.kept, **dict(zip(vacancy.movers, chosen[:count], strict=True))}
    housekeeping = (*vacancy.fixed_housekeeping, *chosen[count:])
    found = scored(tuple(vcpus[vcpu] for vcpu in range(len(vcpus))), housekeeping, topology)
    return replace(found, sure=len(TERMS) if is_least else 0)


def scored(vcpus: tuple[CPU, ...], housekeeping: Iterable[CPU], topology: Topology) -> Placement:
    """Return the placement of vCPUs and housekeeping on these CPUs with its score."""
    ascending = tuple(sorted(housekeeping, key=lambda cpu: cpu.cpu))
    return Placement(vcpus=vcpus, housekeeping=ascending, score=score(vcpus, topology, ascending))
