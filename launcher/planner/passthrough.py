"""The placement under NUMA passthrough: guest cores inside one node, and huge pages where the vCPUs are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress

from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.errors import DoesNotFit
from launcher.host.model import CPU, NO_NODE, Host
from launcher.planner.backing import Backing, closed_nodes_of
from launcher.planner.cells import cores_backed, cores_by_pages, free_pages, lay_out_cells, missing_pages, page_supply
from launcher.planner.demand import CPUDemand
from launcher.planner.floating import quiet_ones
from launcher.planner.model import Cell
from launcher.planner.optimum.effort import TooLong
from launcher.planner.optimum.placement import Placement, place, place_accepted, scored
from launcher.planner.optimum.supply import Core, free_cores
from launcher.planner.paged import place_by_pages
from launcher.planner.refusal import cores_across_nodes, too_few_cpus_with_memory, too_few_pages, too_little_memory
from launcher.vmi.guest import Guest, Topology

# Steps of the search guest core by guest core, for all choices together: a few hundredths of a second.
_UNTANGLING_EFFORT = 3_000


def place_in_quiet_cells(
    guest: Guest, host: Host, usable: Sequence[CPU], demand: CPUDemand, backing: Backing, *, quiet: CPUSet
) -> tuple[Placement, tuple[Cell, ...]]:
    """Place as `place_in_cells` does, the vCPUs on quiet CPUs and housekeeping on the others where that can be."""
    chosen = quiet_ones(usable, quiet, guest.cpu.topology.vcpus)
    apart = [cpu for cpu in usable if cpu.cpu not in quiet][: demand.housekeeping] if chosen else []
    still = demand.housekeeping - len(apart)
    if chosen and len(chosen) >= guest.cpu.topology.vcpus + still:
        # What reaches across to where there are no pages is worse than what is not isolated.
        with suppress(DoesNotFit):
            within = CPUDemand(vcpus=demand.vcpus, pool_iothreads=still)
            placement, cells = place_in_cells(guest, host, chosen, within, backing)
            both = scored(placement.vcpus, (*placement.housekeeping, *apart), guest.cpu.topology)
            return replace(both, sure=placement.sure), cells
    return place_in_cells(guest, host, usable, demand, backing)


def place_in_cells(
    guest: Guest, host: Host, usable: Sequence[CPU], demand: CPUDemand, backing: Backing
) -> tuple[Placement, tuple[Cell, ...]]:
    """Place the guest on nodes that can back it and lay out its cells.

    It is the best placement of which every node used has the huge pages.
    Where the best of all has its pages it is as good as `place` makes it. Else nodes get their shares by a search that
    is exact in terms 2 to 5 as far as `place` is (see `place_by_pages`), and of what is as good in these the likely
    ways to divide the nodes' caches are compared, for term 6: exact where 6 comes out equal to 4 and no cache spans
    nodes, and nearly always else, but for caches that span nodes. Guests that are quickly searched guest core by guest
    core (most of up to eight vCPUs) are exact in every term.
    The search for the shares is too long for some guests of more than 48 vCPUs: then nodes short of pages are given
    fewer vCPUs until the pages suffice, or each node what its pages allow, whichever is better. A placement is found
    wherever there is one, but that one need not be the best.
    Raises DoesNotFit where there is none, naming what the best placement lacked, or where a guest core would have to
    lie on two nodes.
    """
    shut = {NO_NODE: 0} | dict.fromkeys(backing.closed, 0)
    best = _place_capped(guest.cpu.topology, usable, demand, shut)
    if best is None or best.score.cores_across_nodes:
        raise _no_room(guest, usable, demand, backing)
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
        either = (_narrowed(guest, host, usable, demand, without), _within_pages(guest, host, usable, demand))
        fitting = [placement for placement in either if placement is not None]
        return min(fitting, key=lambda one: one.score) if fitting else _by_pages(guest, host, usable, demand)
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


def _within_pages(guest: Guest, host: Host, usable: Sequence[CPU], demand: CPUDemand) -> Placement | None:
    """Let each node have the guest cores whose share of the memory it has free; None where rounding wants more."""
    backed = cores_backed(guest, host, usable)
    caps = {node: guest.cpu.topology.threads * cores for node, cores in backed.items()}
    placement = _place_capped(guest.cpu.topology, usable, demand, caps)
    if placement is None or placement.score.cores_across_nodes or _lacking(guest, host, placement) is not None:
        return None
    return placement


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


def _no_room(guest: Guest, usable: Sequence[CPU], demand: CPUDemand, backing: Backing) -> DoesNotFit:
    if any(cpu.node in backing.closed for cpu in usable):
        return DoesNotFit(f"numa.guestMappingPassthrough, for {demand}: {closed_nodes_of(usable, backing)}")
    nodeless = [cpu for cpu in usable if cpu.node == NO_NODE]
    if nodeless:
        return too_few_cpus_with_memory(nodeless, demand)
    return cores_across_nodes(guest, usable, demand)


def _first_refusal(missing: Sequence[tuple[Cell, int]], guest: Guest) -> DoesNotFit:
    cell, free = missing[0]
    if guest.memory.huge_page_bytes is None:
        return too_little_memory(cell, free * guest.memory.unit_bytes)
    page_bytes = guest.memory.huge_page_bytes
    return too_few_pages(cell.node, cell.memory_bytes // page_bytes, free, page_bytes)


def _cap(cell: Cell, guest: Guest, host: Host) -> int:
    """Return the most vCPUs whose share of the memory the node's free pages hold, fewer than it has now."""
    free = free_pages(host, guest.memory).get(cell.node, 0)
    by_pages = free * guest.memory.unit_bytes * guest.cpu.topology.vcpus // guest.memory.guest_bytes
    return min(len(cell.vcpus) - 1, by_pages)


def _place_capped(
    topology: Topology, usable: Sequence[CPU], demand: CPUDemand, caps: Mapping[int, int]
) -> Placement | None:
    """Place with at most so many vCPUs on the capped nodes; CPUs closed to vCPUs serve the housekeeping first.

    Those on cores without vCPUs, or all of them: whichever is better.
    """
    closed = [cpu for node, most in sorted(caps.items()) for cpu in _closed(usable, node, most, topology.threads)]
    open_cpus = [cpu for cpu in usable if cpu not in closed]
    cores = {cpu.core for cpu in open_cpus}
    apart = [cpu for cpu in closed if cpu.core not in cores]
    everything = [*apart, *(cpu for cpu in closed if cpu.core in cores)]
    found: list[Placement] = []
    for housekeeping in dict.fromkeys(tuple(serving[: demand.housekeeping]) for serving in (apart, everything)):
        still = demand.housekeeping - len(housekeeping)
        if len(open_cpus) >= topology.vcpus + still:
            placement = place(open_cpus, topology, still)
            both = scored(placement.vcpus, (*placement.housekeeping, *housekeeping), topology)
            # Without a cap on a node nothing is closed that might carry a vCPU.
            found.append(both if set(caps) > {NO_NODE} else replace(both, sure=placement.sure))
    return min(found, key=lambda placement: placement.score, default=None)


def _closed(usable: Sequence[CPU], node: int, most: int, threads: int) -> list[CPU]:
    """Choose the CPUs of the node that stay without vCPUs, those on cores without vCPUs first.

    Open stay the places of the fullest cores, of equal ones those of the largest caches, so that few caches are used;
    then the loose CPUs.
    """
    cores = free_cores(cpu for cpu in usable if cpu.node == node)
    sizes = Counter(cpu.cache for core in cores for cpu in core.cpus)

    def rank(core: Core) -> tuple[int, int, int]:
        cache = core.cpus[0].cache
        return -(len(core.cpus) // threads), -sizes[cache], cache

    fullest = sorted(cores, key=rank)
    ordered = [cpu for core in fullest for cpu in core.cpus[: len(core.cpus) - len(core.cpus) % threads]]
    ordered += [cpu for core in fullest for cpu in core.cpus[len(core.cpus) - len(core.cpus) % threads :]]
    count = most - most % threads
    kept = {cpu.core for cpu in ordered[:count]}
    return sorted(ordered[count:], key=lambda cpu: cpu.core in kept)
