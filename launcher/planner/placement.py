"""The optimal placement: which CPUs the vCPUs and the housekeeping get, out of the free ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from launcher.host.model import CPU
from launcher.planner.candidates import Item, search_size
from launcher.planner.choosing import CLASS_LIMIT, SEARCH_LIMIT, Choice, plain_items, rank
from launcher.planner.division import divide
from launcher.planner.effort import Effort, TooLong
from launcher.planner.model import Score
from launcher.planner.refinement import refine
from launcher.planner.reserve import combinations, reservations
from launcher.planner.score import score
from launcher.planner.seating import GuestSocket, number_vcpus, seat
from launcher.planner.shelf import Shelf, refined, reserve, stack
from launcher.planner.supply import Area, Core, coarse_areas, fine_areas, free_cores
from launcher.planner.untangle import Accepts, untangle
from launcher.vmi.guest import Topology

# Steps of the search guest core by guest core, for all choices together: a tenth of a second.
_UNTANGLING_EFFORT = 20_000


class Placement(Struct, frozen=True, kw_only=True):
    """The host CPU of each vCPU, by vCPU id, the housekeeping CPUs ascending, and what this scores."""

    vcpus: tuple[CPU, ...]
    housekeeping: tuple[CPU, ...]
    score: Score


def place(
    cpus: Iterable[CPU], topology: Topology, housekeeping: int, untangling: int = _UNTANGLING_EFFORT
) -> Placement:
    """Place the guest's vCPUs and `housekeeping` reserved CPUs on the free CPUs, best by terms 1 to 6 in their order.

    Ties go to housekeeping on the node with most vCPUs, then to vCPUs of one thread each on separate cores, then to the
    lowest CPU numbers. The result depends on the set of CPUs alone. The caller makes sure that there are vCPUs +
    housekeeping CPUs.

    Exact is, for guest cores of one or two threads and caches that lie on one node each:
    * terms 1 to 3 with up to seven housekeeping CPUs, and with more as far as the 20 to 170 best summed stocks go;
    * terms 4 and 5 with up to eight nodes, and where no guest socket has to cross nodes with any number. With more
      nodes where every CPU is used, up to sixteen that differ; else whenever the bounded searches end within their
      effort: all but about one in six of the hardest cases with ten to sixteen nodes that all differ;
    * term 6 with up to eight areas (caches with free CPUs) that differ. With more, as long as no node has more than
      eight that differ: where no socket has to cross nodes, and else on up to eight nodes whenever the search ends
      within its effort, as it mostly does (see `forest` and `crossing`); beyond it, 6 is seldom more than one off.
      Where CPUs are spare on more nodes, or guest cores have to cross nodes or be split beside housekeeping, the nodes
      are chosen first, and 6 is the least inside each group of them that shares sockets, as far as that is searched.
    Housekeeping is taken of what the best division leaves where that does (see `fitting`). Else of its choices with the
    same terms 1 to 3 a hundred are compared; on more than eight areas, for term 6, eight beside spare CPUs and about
    fifty where every CPU is used.
    With three or more threads, or caches that span nodes, the same as far as guest core after guest core can be
    searched in `untangling` steps: guests of eight vCPUs, and many larger ones. All else is a heuristic for the terms
    named.
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
    found = scored(apart.vcpus, reserved, topology)
    return found if (found.score, _away(found)) <= (best.score, _away(best)) else best


def _away(placement: Placement) -> int:
    """Count the housekeeping CPUs that are not on the node with most vCPUs."""
    vcpus = Counter(cpu.node for cpu in placement.vcpus)
    most = max(vcpus.values())
    return sum(vcpus[cpu.node] < most for cpu in placement.housekeeping)


def _best(cores: Sequence[Core], topology: Topology, housekeeping: int, untangling: int) -> Placement:
    fine = fine_areas(cores)
    spanning = caches_span_nodes(fine)
    areas, choices = _choices(cores, fine, topology, housekeeping, spanning=spanning)
    best = _seated(areas, choices[0], topology)
    if len(areas) == len(fine) and (topology.threads > 2 or spanning):
        return _untangled(areas, choices, best, topology, Effort(steps=untangling), proved=not spanning)
    return best


def caches_span_nodes(areas: Sequence[Area]) -> bool:
    """Tell whether two of these areas, each on one node, have a last-level cache in common."""
    return len({cache for area in areas for cache in area.caches}) < sum(len(area.caches) for area in areas)


def _choices(
    cores: Sequence[Core], fine: Sequence[Area], topology: Topology, housekeeping: int, *, spanning: bool
) -> tuple[Sequence[Area], Sequence[Choice]]:
    """Rank the choices of housekeeping, and say for which areas.

    Few areas are searched all together. Else the nodes come first, by terms 1 to 5, and the areas inside them after:
    where every CPU is used that loses nothing, for then the terms before 6 depend on the nodes' CPUs alone.
    """
    used_up = sum(len(core.cpus) for core in cores) == topology.vcpus + housekeeping
    if search_size(plain_items(fine, topology.threads)) <= SEARCH_LIMIT and (spanning or not used_up):
        return fine, rank(fine, topology, housekeeping, proved=not spanning)
    nodes = coarse_areas(cores)
    ranked = rank(nodes, topology, housekeeping)
    finer = refine(nodes, ranked, topology)
    return ([area for node in nodes for area in refined(node)], finer) if finer else (nodes, ranked)


def _untangled(
    areas: Sequence[Area],
    choices: Sequence[Choice],
    first: Placement,
    topology: Topology,
    effort: Effort,
    *,
    proved: bool,
) -> Placement:
    """Search on where the seats may be worse than can be: by what the division promised, if that is `proved` a bound.

    That is where split guest cores have more than two threads; where caches span nodes, term 6 may even be less.
    """
    best = first
    for choice in choices:
        if proved and _last_terms(best) <= choice.division.promise:
            break
        reserved = _reserved(areas, choice)
        shelves = [stack(area, frozenset(cpus), topology.threads) for area, cpus in zip(areas, reserved, strict=True)]
        try:
            sockets = untangle(shelves, topology, effort)
        except TooLong:
            break
        if sockets is not None:
            best = min(best, _placement(sockets, reserved, topology), key=lambda placement: placement.score)
    return best


def place_accepted(
    cpus: Iterable[CPU], topology: Topology, housekeeping: int, accepts: Accepts, untangling: int
) -> Placement | None:
    """Place as `place` does, but only so that `accepts` takes the guest cores by node, and no guest core spans nodes.

    Exact. None where there is no such placement; raises TooLong where that takes more than `untangling` steps.
    """
    areas, effort = fine_areas(free_cores(cpus)), Effort(steps=untangling)
    options = [reservations(area.histogram(), topology.threads, housekeeping) for area in areas]
    found: list[Placement] = []
    for chosen in combinations(options, housekeeping, CLASS_LIMIT):
        reserved = [reserve(area, option.takes) for area, option in zip(areas, chosen, strict=True)]
        shelves = [stack(area, frozenset(taken), topology.threads) for area, taken in zip(areas, reserved, strict=True)]
        sockets = untangle(shelves, topology, effort, accepts)
        if sockets is not None:
            found.append(_placement(sockets, reserved, topology))
    return min(found, key=lambda placement: placement.score, default=None)


def _last_terms(placement: Placement) -> tuple[int, int, int]:
    return placement.score.node_crossings, placement.score.nodes_used, placement.score.cache_crossings


def _seated(areas: Sequence[Area], choice: Choice, topology: Topology) -> Placement:
    reserved = _reserved(areas, choice)
    sockets = [
        socket
        for group in choice.division.groups
        for shelves, count in _refined_groups([(areas[i], reserved[i]) for i in group.items], group.sockets, topology)
        for socket in seat(shelves, count, topology)
    ]
    return _placement(sockets, reserved, topology)


def _reserved(areas: Sequence[Area], choice: Choice) -> list[tuple[CPU, ...]]:
    return [reserve(area, option.takes) for area, option in zip(areas, choice.reservations, strict=True)]


def _placement(sockets: Iterable[GuestSocket], reserved: Iterable[tuple[CPU, ...]], topology: Topology) -> Placement:
    return scored(number_vcpus(sockets), (cpu for cpus in reserved for cpu in cpus), topology)


def scored(vcpus: tuple[CPU, ...], housekeeping: Iterable[CPU], topology: Topology) -> Placement:
    """Return the placement of vCPUs and housekeeping on these CPUs with its score."""
    ascending = tuple(sorted(housekeeping, key=lambda cpu: cpu.cpu))
    return Placement(vcpus=vcpus, housekeeping=ascending, score=score(vcpus, topology, ascending))


def _refined_groups(
    members: Sequence[tuple[Area, tuple[CPU, ...]]], sockets: int, topology: Topology
) -> Iterator[tuple[Sequence[Shelf], int]]:
    """Divide a group of nodes further, by last-level cache, where its areas are few or lie on one node."""
    shelves = [
        stack(fine, frozenset(reserved), topology.threads) for area, reserved in members for fine in refined(area)
    ]
    items = [Item(node=shelf.node, caches=1, stock=shelf.stock) for shelf in shelves]
    if len(shelves) == 1 or (len(members) > 1 and search_size(items) > SEARCH_LIMIT):
        yield shelves, sockets
        return
    for group in divide(items, replace(topology, sockets=sockets)).groups:
        yield [shelves[i] for i in group.items], group.sockets
