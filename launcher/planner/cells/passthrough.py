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
from launcher.planner.cells.cells import cores_backed, cores_by_pages, free_pages, lay_out_cells, page_supply
from launcher.planner.demand import CPUDemand
from launcher.planner.floating import quiet_ones
from launcher.planner.optimum.placement import Placement, apart_from, joined_by, place_in_turns, place_within
from launcher.planner.refusal import cores_across_nodes, too_few_cpus_with_memory, too_few_pages, too_little_memory
from launcher.planner.terms import TERMS
from launcher.vmi.guest import Guest, GuestMemory, Topology


def place_in_quiet_cells(
    guest: Guest, host: Host, usable: Sequence[CPU], demand: CPUDemand, backing: Backing, *, quiet: CPUSet
) -> Placement:
    """Place as `place_in_cells` does, the vCPUs on quiet CPUs and housekeeping on the others where that can be."""
    vcpus = guest.cpu.topology.vcpus
    chosen = quiet_ones(usable, quiet, vcpus)
    apart = apart_from(usable, chosen, vcpus, demand.housekeeping)
    if apart is not None:
        # What reaches across to where there are no pages is worse than what is not isolated.
        with suppress(DoesNotFit):
            within = CPUDemand(vcpus=demand.vcpus, pool_iothreads=demand.housekeeping - len(apart))
            return joined_by(place_in_cells(guest, host, chosen, within, backing), apart, guest.cpu.topology)
    return place_in_cells(guest, host, usable, demand, backing)


def place_in_cells(guest: Guest, host: Host, usable: Sequence[CPU], demand: CPUDemand, backing: Backing) -> Placement:
    """Place the guest on nodes that can back it.

    It is the best placement of which every node used has the huge pages. Where rounding of the pages wants more than
    their numbers do, nodes give fewer vCPUs until all is rounded up, or what fits the pages most closely, whichever is
    better; small guests are also searched one CPU after the other, and most of up to eight vCPUs are exact then.
    Raises DoesNotFit where there is none, naming what the best placement lacked, or where a guest core would have to
    lie on two nodes.
    """
    shut = {NO_NODE: 0} | dict.fromkeys(backing.closed, 0)
    best = place_within(usable, guest.cpu.topology, demand.housekeeping, shut)
    if best is None:
        raise _no_room(guest, usable, demand, backing)
    try:
        _check_pages(guest.memory, host, best)
    except DoesNotFit:
        found = _with_pages(guest, host, usable, demand)
        if found is None:
            raise
        return found
    return best


def _check_pages(memory: GuestMemory, host: Host, placement: Placement) -> None:
    """Raise DoesNotFit where a node has fewer free pages than its cell needs.

    Without huge pages a page is the unit that the memory is dealt out in.
    """
    free = free_pages(host, memory)
    for cell in lay_out_cells(placement.vcpus, memory, host):
        pages = free.get(cell.node, 0)
        if cell.memory_bytes > pages * memory.unit_bytes:
            if memory.huge_page_bytes is None:
                raise too_little_memory(cell, pages * memory.unit_bytes)
            raise too_few_pages(cell.node, cell.memory_bytes // memory.unit_bytes, pages, memory.unit_bytes)


def _with_pages(guest: Guest, host: Host, usable: Sequence[CPU], demand: CPUDemand) -> Placement | None:
    """Place the guest where the huge pages are."""
    topology, supply = guest.cpu.topology, page_supply(guest, host)

    def within(most_cores: Mapping[int, int]) -> Placement | None:
        return place_within(usable, topology, demand.housekeeping, most_cores)

    def fits(placement: Placement) -> bool:
        return supply.suffices(_cores_by_node(placement, topology))

    backed = cores_backed(guest, host, usable)
    first = within(backed)
    if first is not None and first.sure == len(TERMS) and fits(first):
        return first
    found, caps = first, dict(backed)
    while found is not None and not fits(found):
        # Nodes whose share of the pages could not be rounded up carry fewer guest cores.
        used = _cores_by_node(found, topology)
        short = {node: supply.most_cores_rounded_up(node) for node in used}
        narrower = {node: most for node, most in short.items() if used[node] > most}
        caps |= narrower
        found = within(caps) if narrower else None
    candidates = [found]
    closest = None if found is first else cores_by_pages(backed, supply)
    if closest is not None:
        candidates.append(within(dict.fromkeys(backed, 0) | closest))
    candidates.append(place_in_turns(usable, topology, demand.housekeeping, supply.suffices))
    fitting = [one for one in candidates if one is not None and fits(one)]
    best = min(fitting, key=lambda placement: placement.score, default=None)
    # Nothing is better than the first one, for which rounding was left out.
    return best and replace(best, sure=first.sure if first is not None and best.score == first.score else 0)


def _cores_by_node(placement: Placement, topology: Topology) -> Mapping[int, int]:
    cpus = Counter(cpu.node for cpu in placement.vcpus)
    return {node: count // topology.threads for node, count in cpus.items()}


def _no_room(guest: Guest, usable: Sequence[CPU], demand: CPUDemand, backing: Backing) -> DoesNotFit:
    if any(cpu.node in backing.closed for cpu in usable):
        return DoesNotFit(f"numa.guestMappingPassthrough, for {demand}: {closed_nodes_of(usable, backing)}")
    nodeless = [cpu for cpu in usable if cpu.node == NO_NODE]
    if nodeless:
        return too_few_cpus_with_memory(nodeless, demand)
    return cores_across_nodes(guest, usable, demand)
