"""Where the guest's memory will be, as far as that is known before it runs: with its vCPUs, or how much of it far away.

A page of ordinary memory is taken from the node of the CPU that first touches it, as long as that node has some
(the kernel's admin-guide/mm/numa_memory_policy.rst, "default"); what is bound to cells comes from their nodes alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from launcher.host.model import CPU, NO_NODE, Host
from launcher.planner.backing import Backing
from launcher.planner.model import Cell, Reason
from launcher.quantity import Quantity
from launcher.vmi.guest import Guest

_PASSTHROUGH = "spec.domain.cpu.numa.guestMappingPassthrough: {}"


def remote_memory(
    guest: Guest, vcpus: Sequence[CPU], cells: Sequence[Cell], host: Host, backing: Backing
) -> Iterator[str]:
    """Warn of memory that will not be on the node of the vCPU that uses it: how much, and what cures it."""
    on_nodes = Counter(cpu.node for cpu in vcpus)
    if cells or NO_NODE in on_nodes or set(on_nodes) & set(backing.closed):
        return
    if len(on_nodes) > 1:
        yield _across(on_nodes)
        return
    (node,) = on_nodes
    page_bytes = guest.memory.huge_page_bytes
    available = next((one.bytes_to_be_had(page_bytes) for one in host.nodes if one.node == node), None)
    if available is not None and available < guest.memory.guest_bytes:
        there, wanted, away = (
            Quantity.of_units(size, binary=True)
            for size in (available, guest.memory.guest_bytes, guest.memory.guest_bytes - available)
        )
        yield (
            f"node {node}, on which all vCPUs are, has {there} to be had of the guest's {wanted}: {away} at least "
            "will be on other nodes: free memory on that node, or give the container CPUs of a node that has as much"
        )


def memory_reasons(vcpus: Sequence[CPU], cells: Sequence[Cell]) -> Iterator[Reason]:
    """Say where the memory goes."""
    nodes = sorted({cpu.node for cpu in vcpus})
    for cell in cells:
        size = Quantity.of_units(cell.memory_bytes, binary=True)
        yield Reason(thread="placement", text=f"memory of cell {cell.cell}: {size}, bound to node {cell.node} alone")
    if not cells and len(nodes) == 1 and nodes != [NO_NODE]:
        where = f"the kernel takes it from node {nodes[0]}, where all vCPUs are, while it has some"
        yield Reason(thread="placement", text=f"memory: bound to no node; {where}")


def _across(on_nodes: Counter[int]) -> str:
    total = on_nodes.total()
    remote = 1 - sum((count / total) ** 2 for count in on_nodes.values())
    named = [f"{node} ({count})" for node, count in sorted(on_nodes.items())]
    listed = f"{', '.join(named[:-1])} and {named[-1]}"
    return (
        f"the vCPUs lie on NUMA nodes {listed}, and the guest does not know: about {remote:.0%} of the memory that "
        f"they touch will be on another node: give the container CPUs of one node, or set {_PASSTHROUGH}"
    )
