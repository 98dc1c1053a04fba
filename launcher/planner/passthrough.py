"""The placement under NUMA passthrough: guest cores inside one node, and huge pages where the vCPUs are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from launcher.errors import DoesNotFit
from launcher.host.model import CPU, NO_NODE, Host
from launcher.planner.cells import free_pages, lay_out_cells, missing_pages
from launcher.planner.demand import CPUDemand
from launcher.planner.model import Cell
from launcher.planner.placement import Placement, place
from launcher.planner.refusal import cores_across_nodes, too_few_cpus_with_memory, too_few_pages
from launcher.planner.score import score
from launcher.planner.supply import free_cores
from launcher.vmi.guest import Guest, Topology


def place_in_cells(
    guest: Guest, host: Host, usable: Sequence[CPU], demand: CPUDemand
) -> tuple[Placement, tuple[Cell, ...]]:
    """Place the guest and lay out its cells: the best placement, if every node used has the huge pages for its share.

    Where one has not, nodes short of pages are given fewer vCPUs until the pages suffice: such a placement is
    feasible, but no longer proved to be the best feasible one. Raises DoesNotFit where that ends without one, naming
    what the best placement lacked, or where a guest core would have to lie on two nodes.
    """
    caps: dict[int, int] = {}
    refusal: DoesNotFit | None = None
    while True:
        placement = _place_capped(guest.cpu.topology, usable, demand, _with_no_node(caps))
        if placement is None or placement.score.cores_across_nodes:
            raise refusal or _no_room(guest, usable, demand)
        cells = lay_out_cells(placement.vcpus, guest.memory, host)
        missing = missing_pages(cells, guest.memory, host)
        if not missing:
            return placement, cells
        refusal = refusal or _first_refusal(missing, guest)
        caps.update({cell.node: _cap(cell, guest, host) for cell, _ in missing})


def _with_no_node(caps: Mapping[int, int]) -> Mapping[int, int]:
    """Keep vCPUs off CPUs that belong to no node: no host node could back their cell."""
    return {**caps, NO_NODE: 0}


def _no_room(guest: Guest, usable: Sequence[CPU], demand: CPUDemand) -> DoesNotFit:
    nodeless = [cpu for cpu in usable if cpu.node == NO_NODE]
    if nodeless:
        return too_few_cpus_with_memory(nodeless, demand)
    return cores_across_nodes(guest, usable, demand)


def _first_refusal(missing: Sequence[tuple[Cell, int]], guest: Guest) -> DoesNotFit:
    cell, free = missing[0]
    page_bytes = guest.memory.huge_page_bytes or 1
    return too_few_pages(cell.node, cell.memory_bytes // page_bytes, free, page_bytes)


def _cap(cell: Cell, guest: Guest, host: Host) -> int:
    """Return the most vCPUs whose share of the memory the node's free pages hold, fewer than it has now."""
    page_bytes = guest.memory.huge_page_bytes or 1
    free = free_pages(host, page_bytes).get(cell.node, 0)
    by_pages = free * page_bytes * guest.cpu.topology.vcpus // guest.memory.guest_bytes
    return min(len(cell.vcpus) - 1, by_pages)


def _place_capped(
    topology: Topology, usable: Sequence[CPU], demand: CPUDemand, caps: Mapping[int, int]
) -> Placement | None:
    """Place with at most so many vCPUs on the capped nodes; CPUs closed to vCPUs serve the housekeeping first."""
    closed = [cpu for node, most in sorted(caps.items()) for cpu in _closed(usable, node, most, topology.threads)]
    housekeeping = tuple(closed[: demand.housekeeping])
    still = demand.housekeeping - len(housekeeping)
    open_cpus = [cpu for cpu in usable if cpu not in closed]
    if len(open_cpus) < topology.vcpus + still:
        return None
    placement = place(open_cpus, topology, still)
    reserved = tuple(sorted((*placement.housekeeping, *housekeeping), key=lambda cpu: cpu.cpu))
    return Placement(vcpus=placement.vcpus, housekeeping=reserved, score=score(placement.vcpus, topology, reserved))


def _closed(usable: Sequence[CPU], node: int, most: int, threads: int) -> list[CPU]:
    """Choose the CPUs of the node that stay without vCPUs: all but the places of the fullest cores."""
    cores = free_cores(cpu for cpu in usable if cpu.node == node)
    ordered = [cpu for core in sorted(cores, key=lambda core: -(len(core.cpus) // threads)) for cpu in core.cpus]
    return ordered[most - most % threads :]
