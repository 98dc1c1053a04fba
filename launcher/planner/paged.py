"""The placement where the huge pages are: the best rations of the nodes, and the best carving of their caches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from launcher.host.model import CPU
from launcher.planner.carving import Carving, carvings, joined
from launcher.planner.cells import PageSupply
from launcher.planner.optimum.effort import Effort, TooLong
from launcher.planner.optimum.placement import Placement, caches_span_nodes, place, scored
from launcher.planner.optimum.seating import number_vcpus
from launcher.planner.optimum.supply import Area, coarse_areas, free_cores
from launcher.planner.rations import Ration, Share, rations
from launcher.vmi.guest import Topology

# Steps of the whole search, and what carving a node, putting carvings together and seating one count as.
_EFFORT = 8_000
_CARVING_STEPS = 100
_JOINING_STEPS = 4
_SEATING_STEPS = 100
# Steps of the search guest core by guest core for the seats of one carving.
_UNTANGLING_EFFORT = 500


def place_by_pages(cpus: Sequence[CPU], topology: Topology, housekeeping: int, supply: PageSupply) -> Placement | None:
    """Place the guest where its pages are, with no guest core across nodes; None where there is no such placement.

    Exact in terms 2 and 3, and for guest cores of up to two threads in 4 and 5 (as far as `place` is where every CPU is
    used). In 6 it is the best that is found among the likely ways within the effort. Raises TooLong where the effort
    ends before anything is found.
    """
    nodes, effort = coarse_areas(free_cores(cpus)), Effort(steps=_EFFORT)
    search = _Search(nodes=nodes, topology=topology, effort=effort)
    best: tuple[Ration, Placement] | None = None
    try:
        for ration in rations(nodes, topology, housekeeping, supply, effort):
            if best is not None and (ration.terms > best[0].terms or effort.steps <= 0 or search.is_least(best[1])):
                break
            best = ration, search.carved(ration, best and best[1])
    except TooLong:
        if best is None:
            raise
    return best and best[1]


class _Search(Struct):
    """One search, with the placements and carvings that it knows of each node, by its share."""

    nodes: Sequence[Area]
    topology: Topology
    effort: Effort
    alone: dict[tuple[int, Share], Placement] = field(default_factory=dict)
    ways: dict[tuple[int, Share], list[Carving]] = field(default_factory=dict)

    def is_least(self, placement: Placement) -> bool:
        """Tell whether nothing as good in terms 1 to 5 is better in 6: caches are crossed where nodes are."""
        return placement.score.cache_crossings <= (
            0 if caches_span_nodes(self.nodes) else placement.score.node_crossings
        )

    def carved(self, ration: Ration, best: Placement | None) -> Placement:
        """Seat the ration, carved in every way that may be better than the best so far, which is as good in 1 to 5."""
        used = [(index, share) for index, share in enumerate(ration.shares) if any(share)]
        alone = [self._alone(*entry) for entry in used if self._is_alone(entry[1])]
        crossed = sum(placement.score.cache_crossings for placement in alone)
        found = joined([self._ways(*entry) for entry in used if not self._is_alone(entry[1])], self.topology)
        self.effort.charge(_JOINING_STEPS * len(found))
        for bound, carving in found:
            if best is not None and (crossed + bound >= best.score.cache_crossings or self.effort.steps <= 0):
                break
            seated = _together([*alone, *self._seated(carving)], carving.housekeeping, self.topology)
            best = seated if best is None else min(best, seated, key=lambda placement: placement.score)
        if best is None:
            raise AssertionError("a ration leaves every node the CPUs of its share")
        return best

    def _is_alone(self, share: Share) -> bool:
        """Tell whether a node has whole guest sockets: it shares none with others, or term 4 would not be least."""
        return share.guest_cores > 0 and share.guest_cores % self.topology.cores == 0

    def _alone(self, index: int, share: Share) -> Placement:
        if (index, share) not in self.alone:
            self.effort.charge(_SEATING_STEPS)
            cpus = [cpu for core in self.nodes[index].cores for cpu in core.cpus]
            own = replace(self.topology, sockets=share.guest_cores // self.topology.cores)
            self.alone[index, share] = place(cpus, own, share.housekeeping, _UNTANGLING_EFFORT)
        return self.alone[index, share]

    def _ways(self, index: int, share: Share) -> list[Carving]:
        if (index, share) not in self.ways:
            self.effort.charge(_CARVING_STEPS)
            self.ways[index, share] = carvings(self.nodes[index], share, self.topology)
        return self.ways[index, share]

    def _seated(self, carving: Carving) -> list[Placement]:
        """Seat guest sockets on every CPU that is open; none where there is none."""
        self.effort.charge(_SEATING_STEPS)
        own = replace(self.topology, sockets=len(carving.open) // (self.topology.cores * self.topology.threads))
        return [place(carving.open, own, 0, _UNTANGLING_EFFORT)] if own.sockets else []


def _together(placements: Sequence[Placement], housekeeping: Iterable[CPU], topology: Topology) -> Placement:
    vcpus = [cpu for placement in placements for cpu in placement.vcpus]
    cores = [tuple(vcpus[start : start + topology.threads]) for start in range(0, len(vcpus), topology.threads)]
    sockets = [tuple(cores[start : start + topology.cores]) for start in range(0, len(cores), topology.cores)]
    reserved = [*housekeeping, *(cpu for placement in placements for cpu in placement.housekeeping)]
    return scored(number_vcpus(sockets), reserved, topology)
