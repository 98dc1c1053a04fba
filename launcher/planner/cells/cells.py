"""The guest's NUMA cells under guestMappingPassthrough: one for each host node used, with its share of the memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.errors import DoesNotFit
from launcher.host.model import CPU, NO_NODE, Host
from launcher.planner.model import Cell
from launcher.quantity import Quantity
from launcher.vmi.guest import Guest, GuestMemory


def lay_out_cells(vcpus: Sequence[CPU], memory: GuestMemory, host: Host) -> tuple[Cell, ...]:
    """Make a cell of every host node that carries a vCPU, ascending, with memory in proportion to its vCPUs.

    Memory is dealt in whole pages by largest remainder, ties to the lower node, so that every page is accounted for; of
    the pages that are left after rounding down none goes where it would not be free, as long as it may go elsewhere.
    Raises DoesNotFit where the memory is no whole number of pages, or too few for each cell to have one.
    """
    by_node: dict[int, list[int]] = {}
    for vcpu, cpu in enumerate(vcpus):
        by_node.setdefault(cpu.node, []).append(vcpu)
    nodes = tuple(sorted(by_node))
    page_bytes = memory.unit_bytes
    shares = _shares(_pages(memory, page_bytes), {node: len(by_node[node]) for node in nodes}, free_pages(host, memory))
    return tuple(
        Cell(
            cell=cell,
            node=node,
            vcpus=CPUSet.of(by_node[node]),
            memory_bytes=shares[node] * page_bytes,
            distances=_distances(node, nodes, host),
        )
        for cell, node in enumerate(nodes)
    )


def free_pages(host: Host, memory: GuestMemory) -> Mapping[int, int]:
    """Count by node the free pages that may back this memory; all that it needs where nobody knows."""
    whole = -(-memory.guest_bytes // memory.unit_bytes)
    free = {node.node: node.bytes_to_be_had(memory.huge_page_bytes) for node in host.nodes}
    return {node: whole if size is None else size // memory.unit_bytes for node, size in free.items()}


def _pages(memory: GuestMemory, page_bytes: int) -> int:
    if memory.guest_bytes % page_bytes:
        guest, page = (Quantity.of_units(size, binary=True) for size in (memory.guest_bytes, page_bytes))
        wanted = f"pages of {page}" if memory.huge_page_bytes else f"{page}, in which cells have their memory"
        raise DoesNotFit(f"the guest's memory of {guest} is not a whole number of {wanted}")
    return memory.guest_bytes // page_bytes


class PageSupply(Struct, frozen=True, kw_only=True):
    """The pages that the guest's memory takes and those free by node."""

    pages: int
    guest_cores: int
    free: Mapping[int, int]

    def free_on(self, node: int) -> int:
        """Count the free pages of a node, at most those of the guest."""
        if node == NO_NODE:
            return 0
        return min(self.pages, self.free.get(node, 0))

    def most(self, node: int, guest_cores: int) -> int | None:
        """Return the most pages that so many guest cores on the node may be given; None where their share is not free.

        That is the share rounded down and one page, or what is free where that is less.
        """
        if not guest_cores:
            return 0
        share = self.pages * guest_cores // self.guest_cores
        return None if max(1, share) > self.free_on(node) else min(share + 1, self.free_on(node))

    def most_cores(self, node: int, room: int) -> int:
        """Count the guest cores, at most `room`, whose share of the pages is free on the node."""
        return next((count for count in range(room, 0, -1) if self.most(node, count) is not None), 0)

    def most_cores_rounded_up(self, node: int) -> int:
        """Count the guest cores whose exact share of the pages is free on the node."""
        return self.free_on(node) * self.guest_cores // self.pages

    def suffices(self, guest_cores: Mapping[int, int]) -> bool:
        """Tell whether so many guest cores on each node can be given all pages together, and at least one each."""
        used = [(node, count) for node, count in guest_cores.items() if count]
        most = [self.most(node, count) for node, count in used]
        least = sum(max(1, self.pages * count // self.guest_cores) for _, count in used)
        return None not in most and least <= self.pages <= sum(pages or 0 for pages in most)


def page_supply(guest: Guest, host: Host) -> PageSupply:
    """Count the pages that the guest needs and the host has free."""
    memory, topology = guest.memory, guest.cpu.topology
    return PageSupply(
        pages=_pages(memory, memory.unit_bytes),
        guest_cores=topology.sockets * topology.cores,
        free=free_pages(host, memory),
    )


def cores_backed(guest: Guest, host: Host, cpus: Iterable[CPU]) -> dict[int, int]:
    """Count the guest cores that each node may carry at most: those that it has room for, and pages."""
    supply, threads = page_supply(guest, host), guest.cpu.topology.threads
    room = Counter(cpu.node for cpu in cpus)
    return {node: supply.most_cores(node, count // threads) for node, count in room.items()}


def cores_by_pages(room: Mapping[int, int], supply: PageSupply) -> dict[int, int] | None:
    """Choose how many guest cores each node gets, at most its room, so that the free pages suffice; None if none do.

    For every number of guest cores on the nodes so far, the most pages are followed that they may be given.
    """
    best: dict[int, tuple[int, tuple[tuple[int, int], ...]]] = {0: (0, ())}
    for node, most in room.items():
        grown = dict(best)
        for count in range(1, min(most, supply.guest_cores) + 1):
            given = supply.most(node, count)
            if given is None:
                break
            for before, (pages, dealt) in best.items():
                total = before + count
                if total <= supply.guest_cores and pages + given > grown.get(total, (-1, ()))[0]:
                    grown[total] = pages + given, (*dealt, (node, count))
        best = grown
    pages, dealt = best.get(supply.guest_cores, (-1, ()))
    return dict(dealt) if pages >= supply.pages else None


def _shares(pages: int, weights: Mapping[int, int], free: Mapping[int, int]) -> dict[int, int]:
    total = sum(weights.values())
    shares = {node: pages * weight // total for node, weight in weights.items()}

    def rank(node: int) -> tuple[bool, bool, int, int]:
        has_no_other = shares[node] >= free.get(node, 0)
        return bool(shares[node]), has_no_other, -(pages * weights[node] % total), node

    for node in sorted(weights, key=rank)[: pages - sum(shares.values())]:
        shares[node] += 1
    if not all(shares.values()):
        raise DoesNotFit(f"{pages} pages of memory are too few for the guest's {len(weights)} NUMA cells")
    return shares


def _distances(node: int, nodes: Sequence[int], host: Host) -> tuple[tuple[int, int], ...]:
    known = next((dict(entry.distances) for entry in host.nodes if entry.node == node), {})
    if not all(other in known for other in nodes):
        return ()
    return tuple((cell, known[other]) for cell, other in enumerate(nodes))
