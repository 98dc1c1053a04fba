"""The placement under NUMA passthrough: guest cores inside one node, and huge pages where the vCPUs are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress

from launcher.errors import DoesNotFit
from launcher.host.model import CPU, NO_NODE, Host
from launcher.planner.cells import cores_by_pages, free_pages, lay_out_cells, missing_pages, page_supply
from launcher.planner.demand import CPUDemand
from launcher.planner.effort import TooLong
from launcher.planner.model import Cell
from launcher.planner.paged import place_by_pages
from launcher.planner.placement import Placement, place, place_accepted, scored
from launcher.planner.refusal import cores_across_nodes, too_few_cpus_with_memory, too_few_pages
from launcher.planner.supply import free_cores
from launcher.vmi.guest import Guest, Topology

# Steps of the search guest core by guest core, for all choices together: a few hundredths of a second.
_UNTANGLING_EFFORT = 3_000


def place_in_cells(
    guest: Guest, host: Host, usable: Sequence[CPU], demand: CPUDemand
) -> tuple[Placement, tuple[Cell, ...]]:
    """Place the guest and lay out its cells: the best placement of which every node used has the huge pages.

    Where the best of all has its pages it is as good as `place` makes it. Else nodes get their shares by a search that
    is exact in terms 2 to 5 as far as `place` is (see `place_by_pages`), and of what is as good in these the likely
    ways to divide the nodes' caches are compared, for term 6: exact where 6 comes out equal to 4 and no cache spans
    nodes, and nearly always else, but for caches that span nodes. Guests that are quickly searched guest core by guest
    core (most of up to eight vCPUs) are exact in every term.
    The search for the shares is too long for some guests of more than 48 vCPUs: then nodes short of pages are given
    fewer vCPUs until the pages suffice, and where that leads nowhere so many vCPUs to each node as its pages allow. A
    placement is found wherever there is one, but that one need not be the best.
    Raises DoesNotFit where there is none, naming what the best placement lacked, or where a guest core would have to
    lie on two nodes.
    """
    best = _place_capped(guest.cpu.topology, usable, demand, {NO_NODE: 0})
    if best is None or best.score.cores_across_nodes:
        raise _no_room(guest, usable, demand)
    refusal = _lacking(guest, host, best)
    if refusal is not None:
        best = _with_pages(guest, host, usable, demand, best)
        if best is None:
            raise refusal
    return best, lay_out_cells(best.vcpus, guest.memory, host)


def _lacking(guest: Guest, host: Host, placement: Placement) -> DoesNotFit | None:
    """Say what the placement lacks in pages of memory; None where nothing."""
    try:
        missing = missing_pages(lay_out_cells(placement.vcpus, guest.memory, host), guest.memory, host)
    except DoesNotFit as too_few:
        return too_few
    return _first_refusal(missing, guest) if missing else None


def _with_pages(
    guest: Guest, host: Host, usable: Sequence[CPU], demand: CPUDemand, without: Placement
) -> Placement | None:
    """Place the guest where the huge pages are; `without` is the best placement, which lacks some."""
    topology, supply = guest.cpu.topology, page_supply(guest, host)
    try:
        found = place_by_pages(usable, topology, demand.housekeeping, supply)
    except TooLong:
        return _narrowed(guest, host, usable, demand, without) or _by_pages(guest, host, usable, demand)
    if found is None or (topology.threads <= 2 and found.score.cache_crossings <= found.score.node_crossings):
        return found
    with suppress(TooLong):
        searched = place_accepted(usable, topology, demand.housekeeping, supply.suffices, _UNTANGLING_EFFORT)
        return found if searched is None else min(found, searched, key=lambda placement: placement.score)
    return found


def _narrowed(guest: Guest, host: Host, usable: Sequence[CPU], demand: CPUDemand, first: Placement) -> Placement | None:
    """Give nodes that are short of pages fewer vCPUs, again and again."""
    caps: dict[int, int] = {NO_NODE: 0}
    placement: Placement | None = first
    while placement is not None and not placement.score.cores_across_nodes:
        if _lacking(guest, host, placement) is None:
            return placement
        cells = lay_out_cells(placement.vcpus, guest.memory, host)
        caps.update({cell.node: _cap(cell, guest, host) for cell, _ in missing_pages(cells, guest.memory, host)})
        placement = _place_capped(guest.cpu.topology, usable, demand, caps)
    return None


def _by_pages(guest: Guest, host: Host, usable: Sequence[CPU], demand: CPUDemand) -> Placement | None:
    """Give each node as many guest cores as let the nodes' free pages hold the whole memory; None where none do."""
    threads = guest.cpu.topology.threads
    room = Counter(cpu.node for cpu in usable if cpu.node != NO_NODE)
    guest_cores = cores_by_pages(
        {node: cpus // threads for node, cpus in sorted(room.items())}, page_supply(guest, host)
    )
    if guest_cores is None:
        return None
    caps = {node: guest_cores.get(node, 0) * threads for node in {cpu.node for cpu in usable}}
    return _place_capped(guest.cpu.topology, usable, demand, caps)


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
    return scored(placement.vcpus, (*placement.housekeeping, *housekeeping), topology)


def _closed(usable: Sequence[CPU], node: int, most: int, threads: int) -> list[CPU]:
    """Choose the CPUs of the node that stay without vCPUs, those on cores without vCPUs first.

    Open stay the places of the fullest cores, then the loose CPUs.
    """
    cores = free_cores(cpu for cpu in usable if cpu.node == node)
    fullest = sorted(cores, key=lambda core: -(len(core.cpus) // threads))
    ordered = [cpu for core in fullest for cpu in core.cpus[: len(core.cpus) - len(core.cpus) % threads]]
    ordered += [cpu for core in fullest for cpu in core.cpus[len(core.cpus) - len(core.cpus) % threads :]]
    count = most - most % threads
    kept = {cpu.core for cpu in ordered[:count]}
    return sorted(ordered[count:], key=lambda cpu: cpu.core in kept)
