"""The guest's NUMA cells under guestMappingPassthrough: one for each host node used, with its share of the memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from launcher.cpuset import CPUSet
from launcher.errors import DoesNotFit
from launcher.host.model import CPU, Host
from launcher.planner.model import Cell
from launcher.vmi.guest import GuestMemory


def lay_out_cells(vcpus: Sequence[CPU], memory: GuestMemory, host: Host) -> tuple[Cell, ...]:
    """Make a cell of every host node that carries a vCPU, ascending, with memory in proportion to its vCPUs.

    Memory is dealt in whole pages by largest remainder, ties to the lower node, so that every page is accounted for.
    Raises DoesNotFit where the memory is no whole number of pages, or too few for each cell to have one.
    """
    by_node: dict[int, list[int]] = {}
    for vcpu, cpu in enumerate(vcpus):
        by_node.setdefault(cpu.node, []).append(vcpu)
    nodes = tuple(sorted(by_node))
    page_bytes = memory.huge_page_bytes or host.page_bytes
    shares = _shares(_pages(memory, page_bytes), [len(by_node[node]) for node in nodes])
    return tuple(
        Cell(
            cell=cell,
            node=node,
            vcpus=CPUSet.of(by_node[node]),
            memory_bytes=shares[cell] * page_bytes,
            distances=_distances(node, nodes, host),
        )
        for cell, node in enumerate(nodes)
    )


def missing_pages(cells: Sequence[Cell], memory: GuestMemory, host: Host) -> tuple[tuple[Cell, int], ...]:
    """Name the cells whose node has fewer free huge pages than they need, each with the pages that are free."""
    if memory.huge_page_bytes is None:
        return ()
    free = free_pages(host, memory.huge_page_bytes)
    return tuple(
        (cell, free.get(cell.node, 0))
        for cell in cells
        if cell.memory_bytes > free.get(cell.node, 0) * memory.huge_page_bytes
    )


def free_pages(host: Host, page_bytes: int) -> Mapping[int, int]:
    """Count the free huge pages of this size by node; a node without that size is left out."""
    return {node.node: pages.free for node in host.nodes for pages in node.huge_pages if pages.size_bytes == page_bytes}


def _pages(memory: GuestMemory, page_bytes: int) -> int:
    if memory.guest_bytes % page_bytes:
        raise DoesNotFit(
            f"the guest's memory of {memory.guest_bytes} bytes is not a whole number of pages of {page_bytes} bytes"
        )
    return memory.guest_bytes // page_bytes


def _shares(pages: int, weights: Sequence[int]) -> list[int]:
    total = sum(weights)
    shares = [pages * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda index: (-(pages * weights[index] % total), index))
    for index in by_remainder[: pages - sum(shares)]:
        shares[index] += 1
    if not all(shares):
        raise DoesNotFit(f"{pages} pages of memory are too few for the guest's {len(weights)} NUMA cells")
    return shares


def _distances(node: int, nodes: Sequence[int], host: Host) -> tuple[tuple[int, int], ...]:
    known = next((dict(entry.distances) for entry in host.nodes if entry.node == node), {})
    if not all(other in known for other in nodes):
        return ()
    return tuple((cell, known[other]) for cell, other in enumerate(nodes))
