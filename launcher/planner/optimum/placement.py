"""The optimal placement: which CPUs the vCPUs and the housekeeping get, out of the free ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct, field
from msgspec.structs import replace

from launcher.host.model import CPU
from launcher.planner.model import Score
from launcher.planner.optimum.areas import divide_areas
from launcher.planner.optimum.effort import Effort, TooLong
from launcher.planner.optimum.groups import Market, Settled
from launcher.planner.optimum.nodes import divide_nodes
from launcher.planner.optimum.seating import GuestSocket, number_vcpus, seat
from launcher.planner.optimum.shelf import Shelf, reserve, stack
from launcher.planner.optimum.stock import Reservation, reservations
from launcher.planner.optimum.supply import Area, Core, fine_areas, free_cores
from launcher.planner.optimum.survey import dislike, survey
from launcher.planner.optimum.untangle import Accepts, untangle
from launcher.planner.score import score
from launcher.planner.terms import TERMS, values
from launcher.vmi.guest import Topology

# Steps of the search guest core by guest core, for all choices together: a tenth of a second.
_UNTANGLING_EFFORT = 20_000


class Placement(Struct, frozen=True, kw_only=True):
    """The host CPU of each vCPU, by vCPU id, the housekeeping CPUs ascending, and what this scores.

    The search has excluded that any of the first `sure` terms of the score can be less.
    """

    vcpus: tuple[CPU, ...]
    housekeeping: tuple[CPU, ...]
    score: Score
    sure: int = 0


class _Guest(Struct, frozen=True, kw_only=True):
    """What is placed, the guest cores that nodes carry at most, and steps of seating it guest core by guest core.

    `accepts` is what is asked there of the guest cores by node.
    """

    topology: Topology
    housekeeping: int
    accepts: Accepts | None
    most_cores: Mapping[int, int] = field(default_factory=dict)
    untangling: int = _UNTANGLING_EFFORT


def place(
    cpus: Iterable[CPU], topology: Topology, housekeeping: int, untangling: int = _UNTANGLING_EFFORT
) -> Placement:
    """Place the guest's vCPUs and `housekeeping` reserved CPUs on the free CPUs, best by terms 1 to 6 in their order.

    Ties go to housekeeping on the node with most vCPUs, then to vCPUs of one thread each on separate cores, then to the
    lowest CPU numbers. The result depends on the set of CPUs alone. The caller makes sure that there are vCPUs +
    housekeeping CPUs.
    """
    placement = place_within(cpus, topology, housekeeping, {}, untangling)
    if placement is None:
        raise AssertionError("all areas together hold the guest")
    return placement


def place_within(
    cpus: Iterable[CPU],
    topology: Topology,
    housekeeping: int,
    most_cores: Mapping[int, int],
    untangling: int = _UNTANGLING_EFFORT,
) -> Placement | None:
    """Place as `place` does, with at most so many guest cores on nodes; with any such limit none lies on two nodes.

    None where there is no such placement.
    """

    def accepts(by_node: Mapping[int, int]) -> bool:
        return all(count <= most_cores.get(node, count) for node, count in by_node.items())

    guest = _Guest(
        topology=topology,
        housekeeping=housekeeping,
        accepts=accepts if most_cores else None,
        most_cores=most_cores,
        untangling=untangling,
    )
    cores = free_cores(cpus)
    best = _best(cores, guest)
    return best if best is None or topology.threads > 1 else _on_separate_cores(best, cores, guest)


def _on_separate_cores(best: Placement, cores: Sequence[Core], guest: _Guest) -> Placement:
    """Look for a placement as good in which no two vCPUs share a host core; a heuristic where cores are scarce."""
    is_apart = len({cpu.core for cpu in best.vcpus}) == len(best.vcpus)
    if is_apart or len(cores) < guest.topology.vcpus + guest.housekeeping:
        return best
    apart = _best(free_cores(core.cpus[0] for core in cores), guest)
    if apart is None:
        return best
    kept = {cpu.core for cpu in apart.housekeeping}
    # As few of the cores that housekeeping has to itself as it needs.
    reserved = tuple(cpu for core in cores if core.core in kept for cpu in core.cpus)[: guest.housekeeping]
    found = replace(scored(apart.vcpus, reserved, guest.topology), sure=best.sure)
    return found if (found.score, _away(found)) <= (best.score, _away(best)) else best


def _away(placement: Placement) -> int:
    """Count the housekeeping CPUs that are not on the node with most vCPUs."""
    vcpus = Counter(cpu.node for cpu in placement.vcpus)
    most = max(vcpus.values())
    return sum(vcpus[cpu.node] < most for cpu in placement.housekeeping)


def _best(cores: Sequence[Core], guest: _Guest) -> Placement | None:
    topology, areas = guest.topology, fine_areas(cores)
    most = {node: topology.threads * count for node, count in guest.most_cores.items()}
    ground = survey(areas, topology, guest.housekeeping, most)
    if ground is None:
        return None
    nodes = divide_nodes(ground)
    dislike(ground, nodes.settled)
    settled, is_least = divide_areas(ground, nodes)
    promised = nodes.crossings, nodes.used, ground.crossed_by(settled)
    sure = 3 if not nodes.is_least else 6 if is_least else 5
    best = _seated(settled, areas, topology)
    if values(best.score)[3:] <= promised:
        return replace(best, sure=sure)
    found, ended = [best], False
    with suppress(TooLong):
        for other in _untangled(areas, guest, Effort(steps=guest.untangling), ground.plain):
            found.append(other)
            if values(other.score)[3:] <= promised:
                break
        ended = not guest.housekeeping
    best = min(found, key=lambda placement: placement.score)
    # What is as was promised is as sure as the promise.
    terms = values(best.score)[3:]
    kept = next((index for index, promise in enumerate(promised) if terms[index] > promise), len(terms))
    return replace(best, sure=len(TERMS) if ended else min(sure, 3 + kept))


def _seated(settled: Settled, areas: Sequence[Area], topology: Topology) -> Placement:
    """Seat the groups, each along its areas."""
    reserved = [reserve(area, settled.reservations[index].takes) for index, area in enumerate(areas)]
    shelves = _shelves(areas, reserved, topology)
    for index, stock in settled.kept.items():
        shelves[index] = shelves[index].within(stock)
    groups = (([shelves[index] for index in group], count) for group, count in settled.groups)
    sockets = [socket for own, count in groups for socket in seat(own, count, topology)]
    return _placement(sockets, reserved, topology)


def place_accepted(
    cpus: Iterable[CPU], topology: Topology, housekeeping: int, accepts: Accepts, untangling: int
) -> Placement | None:
    """Place as `place` does, but only so that `accepts` takes the guest cores by node, and no guest core spans nodes.

    Exact. None where there is no such placement; raises TooLong where that takes more than `untangling` steps.
    """

    guest = _Guest(topology=topology, housekeeping=housekeeping, accepts=accepts)
    found = _untangled(fine_areas(free_cores(cpus)), guest, Effort(steps=untangling), None)
    return min(found, key=lambda placement: placement.score, default=None)


def _choices(options: Sequence[Mapping[int, Sequence[Reservation]]], cpus: int) -> Iterator[tuple[Reservation, ...]]:
    """Yield every choice of one reservation for each area that takes so many CPUs in all."""
    if not options:
        yield from [] if cpus else [()]
        return
    for taken, same in options[0].items():
        for others in _choices(options[1:], cpus - taken) if taken <= cpus else ():
            yield from ((option, *others) for option in same)


def _untangled(areas: Sequence[Area], guest: _Guest, effort: Effort, market: Market | None) -> Iterator[Placement]:
    """Seat the guest core by core beside every choice of housekeeping, up to what is interchangeable.

    With a market only where that is not dearer.
    """
    options = [reservations(area.histogram(), guest.topology.threads, guest.housekeeping) for area in areas]
    for chosen in _choices(options, guest.housekeeping):
        effort.spend(len(areas))
        if market is None or market.allows(chosen):
            reserved = [reserve(area, option.takes) for area, option in zip(areas, chosen, strict=True)]
            sockets = untangle(_shelves(areas, reserved, guest.topology), guest.topology, effort, guest.accepts)
            if sockets is not None:
                yield _placement(sockets, reserved, guest.topology)


def _shelves(areas: Sequence[Area], reserved: Sequence[tuple[CPU, ...]], topology: Topology) -> list[Shelf]:
    return [stack(area, frozenset(taken), topology.threads) for area, taken in zip(areas, reserved, strict=True)]


def _placement(sockets: Iterable[GuestSocket], reserved: Iterable[tuple[CPU, ...]], topology: Topology) -> Placement:
    return scored(number_vcpus(sockets), (cpu for cpus in reserved for cpu in cpus), topology)


def scored(vcpus: tuple[CPU, ...], housekeeping: Iterable[CPU], topology: Topology) -> Placement:
    """Return the placement of vCPUs and housekeeping on these CPUs with its score."""
    ascending = tuple(sorted(housekeeping, key=lambda cpu: cpu.cpu))
    return Placement(vcpus=vcpus, housekeeping=ascending, score=score(vcpus, topology, ascending))
