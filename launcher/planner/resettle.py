"""New CPUs for a few vCPUs while all others stay: the search that a replan makes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.host.model import CPU
from launcher.planner.model import Score
from launcher.planner.optimum.effort import Effort
from launcher.planner.score import score
from launcher.planner.vacancies import VacancySearch
from launcher.vmi.guest import Topology

# How many vCPUs are scored in all before the search contents itself with what it has: about a tenth of a second.
_SCORED_LIMIT = 100_000
# Steps of the search for something better, and these times vCPUs: about a tenth of a second.
_BETTERING_EFFORT = 3_000
_BETTERING_WORK = 150_000


class Vacancy(Struct, frozen=True, kw_only=True):
    """What is to be decided: CPUs for the movers and the housekeeping out of the free ones.

    `preferred` are the housekeeping CPUs so far; `home_nodes` says on which node the memory of a vCPU's cell lies.
    """

    kept: Mapping[int, CPU]
    movers: tuple[int, ...]
    free: tuple[CPU, ...]
    housekeeping: int
    fixed_housekeeping: tuple[CPU, ...]
    preferred: CPUSet
    home_nodes: Mapping[int, int]


class Settlement(Struct, frozen=True, kw_only=True):
    """The CPU of every vCPU, by id, the housekeeping CPUs, ascending, and whether every choice was excluded."""

    vcpus: tuple[CPU, ...]
    housekeeping: tuple[CPU, ...]
    is_least: bool = False


# One choice: the movers' CPUs in their order, then the housekeeping's.
_Choice = tuple[CPU, ...]
_Merit = tuple[int, Score, int, tuple[int, ...]]


def resettle(vacancy: Vacancy, topology: Topology) -> Settlement:
    """Choose the movers' and the housekeeping's CPUs, best by the score for the vCPUs that stay.

    First come vCPUs on the node of their cell, then the score, then housekeeping where it was, then low CPU numbers.
    Exact where the choices, up to CPUs that nothing tells apart, are no more than the limit allows to score (for 512
    vCPUs 195, for 16 vCPUs 6,250). Else a local search from a near place for each mover, and then a search for anything
    that is better in the score, exact as far as its effort reaches.
    """
    limit = max(64, _SCORED_LIMIT // topology.vcpus)
    choices = list(islice(_choices(vacancy, topology), limit + 1))
    if len(choices) <= limit:
        best = min(choices, key=lambda choice: _merit(vacancy, choice, topology))
        return _settlement(vacancy, best, is_least=True)
    best, ended = _bettered(vacancy, _improved(vacancy, _near(vacancy, topology), topology, limit), topology)
    return _settlement(vacancy, best, is_least=ended)


def resettle_quietly(vacancy: Vacancy, topology: Topology, quiet: CPUSet) -> Settlement:
    """Choose as `resettle` does, the movers' CPUs among the quiet ones where these suffice, no farther from memory.

    Housekeeping has the others then, first those that it had.
    """
    anywhere = resettle(vacancy, topology)
    calm = tuple(cpu for cpu in vacancy.free if cpu.cpu in quiet)
    loud = [cpu for cpu in vacancy.free if cpu.cpu not in quiet]
    apart = sorted(loud, key=lambda cpu: (cpu.cpu not in vacancy.preferred, cpu.cpu))[: vacancy.housekeeping]
    still = vacancy.housekeeping - len(apart)
    if not vacancy.movers or not loud or len(calm) < len(vacancy.movers) + still:
        return anywhere
    fixed = (*vacancy.fixed_housekeeping, *apart)
    found = resettle(replace(vacancy, free=calm, housekeeping=still, fixed_housekeeping=fixed), topology)
    return anywhere if _away(found, vacancy) > _away(anywhere, vacancy) else found


def _away(settled: Settlement, vacancy: Vacancy) -> int:
    """Count the vCPUs that are not on the node of their cell."""
    homes = vacancy.home_nodes
    return sum(cpu.node != homes.get(vcpu, cpu.node) for vcpu, cpu in enumerate(settled.vcpus))


def _settlement(vacancy: Vacancy, choice: _Choice, *, is_least: bool = False) -> Settlement:
    count = len(vacancy.movers)
    chosen = {**vacancy.kept, **dict(zip(vacancy.movers, choice[:count], strict=True))}
    housekeeping = sorted((*vacancy.fixed_housekeeping, *choice[count:]), key=lambda cpu: cpu.cpu)
    return Settlement(
        vcpus=tuple(chosen[vcpu] for vcpu in range(len(chosen))), housekeeping=tuple(housekeeping), is_least=is_least
    )


def _merit(vacancy: Vacancy, choice: _Choice, topology: Topology) -> _Merit:
    settled = _settlement(vacancy, choice)
    away = sum(settled.vcpus[vcpu].node != node for vcpu, node in vacancy.home_nodes.items())
    moved_housekeeping = sum(cpu.cpu not in vacancy.preferred for cpu in settled.housekeeping)
    numbers = tuple(cpu.cpu for cpu in choice)
    return away, score(settled.vcpus, topology, settled.housekeeping), moved_housekeeping, numbers


def _choices(vacancy: Vacancy, topology: Topology) -> Iterator[_Choice]:
    """Yield every choice, of free CPUs that nothing tells apart only the lowest."""
    guests = _guests_by_core(vacancy, topology)

    def extend(taken: _Choice) -> Iterator[_Choice]:
        if len(taken) == len(vacancy.movers) + vacancy.housekeeping:
            yield taken
            return
        for cpu in _distinct(vacancy, taken, guests):
            yield from extend((*taken, cpu))

    return extend(())


def _guests_by_core(vacancy: Vacancy, topology: Topology) -> Mapping[int, tuple[int, ...]]:
    """List the guest cores with a kept vCPU on each host core: what tells that core's free CPUs from others."""
    found: dict[int, list[int]] = defaultdict(list)
    for vcpu, cpu in sorted(vacancy.kept.items()):
        found[cpu.core].append(vcpu // topology.threads)
    return {core: tuple(guest_cores) for core, guest_cores in found.items()}


def _distinct(vacancy: Vacancy, taken: _Choice, guests: Mapping[int, tuple[int, ...]]) -> Iterator[CPU]:
    """Yield one free CPU of each kind; housekeeping CPUs (a set) only in ascending order, past the one before."""
    floor = taken[-1].cpu if len(taken) > len(vacancy.movers) else -1
    free: dict[int, int] = defaultdict(int)
    was: dict[int, int] = defaultdict(int)
    for cpu in vacancy.free:
        free[cpu.core] += 1
        was[cpu.core] += cpu.cpu in vacancy.preferred
    by_core: dict[int, list[int]] = defaultdict(list)
    for position, cpu in enumerate(taken):
        by_core[cpu.core].append(position)
    reserved = {cpu.core for cpu in vacancy.fixed_housekeeping}
    seen = set()
    for cpu in vacancy.free:
        if cpu in taken:
            continue
        marks = cpu.cpu in vacancy.preferred, was[cpu.core], cpu.core in reserved
        kind = cpu.node, cpu.cache, free[cpu.core], tuple(by_core[cpu.core]), guests.get(cpu.core), marks
        if cpu.cpu > floor and (floor >= 0 or kind not in seen):
            seen.add(kind)
            yield cpu


def _near(vacancy: Vacancy, topology: Topology) -> _Choice:
    """Choose for each mover in turn the free CPU nearest to the vCPUs of its guest core and socket that are placed."""
    placed = dict(vacancy.kept)
    left = list(vacancy.free)
    for vcpu in vacancy.movers:
        core = _placed_in(placed, vcpu, topology.threads)
        socket = _placed_in(placed, vcpu, topology.threads * topology.cores)
        home = vacancy.home_nodes.get(vcpu)
        nearest = min(
            left, key=lambda cpu: (home not in (None, cpu.node), _distance(cpu, core), _distance(cpu, socket))
        )
        left.remove(nearest)
        placed[vcpu] = nearest
    busy = {cpu.core for cpu in placed.values()}
    quiet = sorted(left, key=lambda cpu: (cpu.core in busy, cpu.cpu not in vacancy.preferred, cpu.cpu))
    return (*(placed[vcpu] for vcpu in vacancy.movers), *quiet[: vacancy.housekeeping])


def _placed_in(placed: Mapping[int, CPU], vcpu: int, size: int) -> Sequence[CPU]:
    first = vcpu // size * size
    return [placed[other] for other in range(first, first + size) if other in placed]


def _distance(cpu: CPU, others: Sequence[CPU]) -> tuple[int, int, int]:
    """Count the vCPUs on other nodes, below other caches and on other cores."""
    return (
        sum(other.node != cpu.node for other in others),
        sum(other.cache != cpu.cache for other in others),
        sum(other.core != cpu.core for other in others),
    )


def _improved(vacancy: Vacancy, start: _Choice, topology: Topology, limit: int) -> _Choice:
    """Replace or exchange one CPU at a time as long as that helps and the limit allows."""
    best, merit = start, _merit(vacancy, start, topology)
    left = limit
    improved = True
    while improved:
        improved = False
        for candidate in _neighbours(vacancy, best):
            if not left:
                return best
            left -= 1
            other = _merit(vacancy, candidate, topology)
            if other < merit:
                best, merit, improved = candidate, other, True
                break
    return best


def _bettered(vacancy: Vacancy, start: _Choice, topology: Topology) -> tuple[_Choice, bool]:
    """Look for a choice that is better by the score than the local search's, and tell whether the effort sufficed."""
    guests = _guests_by_core(vacancy, topology)
    search = VacancySearch(
        kept=vacancy.kept,
        movers=vacancy.movers,
        housekeeping=vacancy.housekeeping,
        fixed_housekeeping=vacancy.fixed_housekeeping,
        home_nodes=vacancy.home_nodes,
        topology=topology,
        distinct=lambda taken: _distinct(vacancy, taken, guests),
        effort=Effort(steps=min(_BETTERING_EFFORT, _BETTERING_WORK // topology.vcpus)),
    )
    return search.bettered(start), search.ended


def _neighbours(vacancy: Vacancy, choice: _Choice) -> Iterator[_Choice]:
    for position in range(len(choice)):
        for later in range(position + 1, len(choice)):
            swapped = list(choice)
            swapped[position], swapped[later] = choice[later], choice[position]
            yield tuple(swapped)
    for position in range(len(choice)):
        for cpu in vacancy.free:
            if cpu not in choice:
                yield (*choice[:position], cpu, *choice[position + 1 :])
