"""The optimal placement: which CPUs the vCPUs and the housekeeping get, out of the free ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import astuple, replace

from launcher.host.model import CPU
from launcher.planner.model import Score
from launcher.planner.optimum.divide import Division, divide
from launcher.planner.optimum.effort import Effort, TooLong
from launcher.planner.optimum.reserve import combinations, reservations
from launcher.planner.optimum.seating import GuestSocket, number_vcpus, seat
from launcher.planner.optimum.shelf import reserve, stack
from launcher.planner.optimum.stock import by_node, least
from launcher.planner.optimum.supply import Area, Core, fine_areas, free_cores
from launcher.planner.optimum.untangle import Accepts, untangle
from launcher.planner.score import score
from launcher.planner.terms import TERMS, values
from launcher.vmi.guest import Topology

# Steps of the search guest core by guest core, for all choices together: a tenth of a second.
_UNTANGLING_EFFORT = 20_000
# Choices of housekeeping that leave the same summed stock, of which not more are compared under NUMA passthrough.
_CHOICES = 200


class Placement(Struct, frozen=True, kw_only=True):
    """The host CPU of each vCPU, by vCPU id, the housekeeping CPUs ascending, and what this scores.

    The search has excluded that any of the first `sure` terms of the score can be less.
    """

    vcpus: tuple[CPU, ...]
    housekeeping: tuple[CPU, ...]
    score: Score
    sure: int = 0


def place(
    cpus: Iterable[CPU], topology: Topology, housekeeping: int, untangling: int = _UNTANGLING_EFFORT
) -> Placement:
    """Place the guest's vCPUs and `housekeeping` reserved CPUs on the free CPUs, best by terms 1 to 6 in their order.

    Ties go to housekeeping on the node with most vCPUs, then to vCPUs of one thread each on separate cores, then to the
    lowest CPU numbers. The result depends on the set of CPUs alone. The caller makes sure that there are vCPUs +
    housekeeping CPUs.
    """
    cores = free_cores(cpus)
    best = _best(cores, topology, housekeeping, untangling)
    return _on_separate_cores(best, cores, topology, housekeeping, untangling) if topology.threads == 1 else best


def _on_separate_cores(
    best: Placement, cores: Sequence[Core], topology: Topology, housekeeping: int, untangling: int
) -> Placement:
    """Look for a placement as good in which no two vCPUs share a host core; a heuristic where cores are scarce."""
    is_apart = len({cpu.core for cpu in best.vcpus}) == len(best.vcpus)
    if is_apart or len(cores) < topology.vcpus + housekeeping:
        return best
    apart = _best(free_cores(core.cpus[0] for core in cores), topology, housekeeping, untangling)
    kept = {cpu.core for cpu in apart.housekeeping}
    # As few of the cores that housekeeping has to itself as it needs.
    reserved = tuple(cpu for core in cores if core.core in kept for cpu in core.cpus)[:housekeeping]
    found = replace(scored(apart.vcpus, reserved, topology), sure=best.sure)
    return found if (found.score, _away(found)) <= (best.score, _away(best)) else best


def _away(placement: Placement) -> int:
    """Count the housekeeping CPUs that are not on the node with most vCPUs."""
    vcpus = Counter(cpu.node for cpu in placement.vcpus)
    most = max(vcpus.values())
    return sum(vcpus[cpu.node] < most for cpu in placement.housekeeping)


def _best(cores: Sequence[Core], topology: Topology, housekeeping: int, untangling: int) -> Placement:
    areas = fine_areas(cores)
    division = divide(areas, topology, housekeeping)
    reserved = [reserve(area, division.settled.reservations[index].takes) for index, area in enumerate(areas)]
    shelves = [stack(area, frozenset(taken), topology.threads) for area, taken in zip(areas, reserved, strict=True)]
    sockets = [
        socket
        for group, count in division.settled.groups
        for socket in seat([shelves[index] for index in group], count, topology)
    ]
    best = _placement(sockets, reserved, topology)
    if values(best.score)[3:] <= division.terms:
        return replace(best, sure=division.sure)
    found, ended = [best], False
    with suppress(TooLong):
        effort = Effort(steps=untangling)
        for other in _reserved_otherwise(areas, topology, housekeeping, best.score):
            found += _untangled(areas, other, topology, effort)
            if values(found[-1].score)[3:] <= division.terms:
                break
        ended = not housekeeping
    best = min(found, key=lambda placement: placement.score)
    return replace(best, sure=len(TERMS) if ended else _sure(best, division))


def _sure(placement: Placement, division: Division) -> int:
    """Count the leading terms that are as the division promised, as far as it is sure of its promise."""
    terms = values(placement.score)[3:]
    kept = next((index for index, promised in enumerate(division.terms) if terms[index] > promised), len(terms))
    return min(division.sure, 3 + kept)


def caches_span_nodes(areas: Sequence[Area]) -> bool:
    """Tell whether two of these areas, each on one node, have a last-level cache in common."""
    return len({cache for area in areas for cache in area.caches}) < sum(len(area.caches) for area in areas)


def place_accepted(
    cpus: Iterable[CPU], topology: Topology, housekeeping: int, accepts: Accepts, untangling: int
) -> Placement | None:
    """Place as `place` does, but only so that `accepts` takes the guest cores by node, and no guest core spans nodes.

    Exact. None where there is no such placement; raises TooLong where that takes more than `untangling` steps.
    """

    areas, effort = fine_areas(free_cores(cpus)), Effort(steps=untangling)
    found: list[Placement] = []
    for reserved in _reserved_otherwise(areas, topology, housekeeping):
        found += _untangled(areas, reserved, topology, effort, accepts)
    return min(found, key=lambda placement: placement.score, default=None)


def _reserved_otherwise(
    areas: Sequence[Area], topology: Topology, housekeeping: int, most: Score | None = None
) -> Iterator[Sequence[tuple[CPU, ...]]]:
    """Yield every choice of housekeeping CPUs of each area, up to what is interchangeable.

    With `most` only those that may be as good as this score in terms 1 to 3.
    """
    options = [reservations(area.histogram(), topology.threads, housekeeping) for area in areas]
    for chosen in combinations(options, housekeeping, _CHOICES):
        if most is not None:
            nodes = by_node((area.node, option.stock) for area, option in zip(areas, chosen, strict=True))
            target = least(nodes.values(), topology.sockets * topology.cores, topology.threads)
            if astuple(target) > values(most)[:3]:
                continue
        yield [reserve(area, option.takes) for area, option in zip(areas, chosen, strict=True)]


def _untangled(
    areas: Sequence[Area],
    reserved: Sequence[tuple[CPU, ...]],
    topology: Topology,
    effort: Effort,
    accepts: Accepts | None = None,
) -> list[Placement]:
    """Seat the guest core by core beside this housekeeping; nothing where that cannot be."""
    shelves = [stack(area, frozenset(taken), topology.threads) for area, taken in zip(areas, reserved, strict=True)]
    sockets = untangle(shelves, topology, effort, accepts)
    return [] if sockets is None else [_placement(sockets, reserved, topology)]


def _placement(sockets: Iterable[GuestSocket], reserved: Iterable[tuple[CPU, ...]], topology: Topology) -> Placement:
    return scored(number_vcpus(sockets), (cpu for cpus in reserved for cpu in cpus), topology)


def scored(vcpus: tuple[CPU, ...], housekeeping: Iterable[CPU], topology: Topology) -> Placement:
    """Return the placement of vCPUs and housekeeping on these CPUs with its score."""
    ascending = tuple(sorted(housekeeping, key=lambda cpu: cpu.cpu))
    return Placement(vcpus=vcpus, housekeeping=ascending, score=score(vcpus, topology, ascending))
