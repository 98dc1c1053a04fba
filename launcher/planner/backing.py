"""What backs the guest's memory, and where it will be: with its vCPUs, or how much of it far away.

A page of ordinary memory is taken from the node of the CPU that first touches it, as long as that node has some
(the kernel's admin-guide/mm/numa_memory_policy.rst, "default"); what is bound to cells comes from their nodes alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.model import CPU, NO_NODE, AllowedCPUs, Host
from launcher.planner.model import Cell, Reason
from launcher.quantity import Quantity
from launcher.vmi.guest import Guest

_PASSTHROUGH = "spec.domain.cpu.numa.guestMappingPassthrough: {}"


class Backing(Struct, frozen=True, kw_only=True):
    """The nodes whose memory the guest can have, and for each other node a few words that say why not."""

    open_nodes: CPUSet
    closed: Mapping[int, str]


def backing_of(host: Host, allowed: AllowedCPUs) -> Backing:
    """Tell which nodes may back the guest's memory: those that have memory, and that cpuset.mems does not shut out.

    Where no node's memory is known, none is without. Raises HostError where cpuset.mems names no node of the host.
    """
    nodes = CPUSet.of(node.node for node in host.nodes)
    filled = CPUSet.of(node.node for node in host.nodes if node.memory_bytes) or nodes
    bounds = allowed.bounds
    within = nodes if bounds.memory_nodes is None else bounds.memory_nodes & nodes
    if nodes and not within:
        raise HostError(f"{bounds.memory_source}: memory of nodes {bounds.memory_nodes}; this host has nodes {nodes}")
    shut = f"is shut to this container's memory (nodes {bounds.memory_nodes}, read from {bounds.memory_source})"
    closed = dict.fromkeys(nodes - within, shut) | dict.fromkeys(nodes - filled, "has no memory of its own")
    return Backing(open_nodes=filled & within, closed=closed)


def backed_host(host: Host, backing: Backing) -> Host:
    """Return the host without the memory of nodes that the guest cannot have."""
    if not backing.closed:
        return host
    nodes = tuple(
        replace(node, huge_pages=(), available_bytes=0) if node.node in backing.closed else node for node in host.nodes
    )
    return replace(host, nodes=nodes)


def closed_nodes_of(cpus: Sequence[CPU], backing: Backing) -> str:
    """Say of each node that these CPUs lie on and that cannot back them why not, and what to give the container."""
    reasons = "; ".join(
        f"node {node} {backing.closed[node]}" for node in sorted({cpu.node for cpu in cpus}) if node in backing.closed
    )
    return f"{reasons}: {_cure(backing)}"


def far_from_memory(vcpus: Sequence[CPU], backing: Backing, ids: Sequence[int]) -> Iterator[str]:
    """Warn of vCPUs (their CPUs, and their ids) on nodes whose memory they cannot have: all of theirs is elsewhere."""
    there = [cpu for cpu in vcpus if cpu.node in backing.closed and cpu.node != NO_NODE]
    far = CPUSet.of(vcpu for vcpu, cpu in zip(ids, vcpus, strict=True) if cpu in there)
    if far:
        verb = "vCPUs run" if len(far) > 1 else "vCPU runs"
        yield f"{len(far)} of {len(vcpus)} {verb} far from all memory ({far}): {closed_nodes_of(there, backing)}"


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


def _cure(backing: Backing) -> str:
    if not backing.open_nodes:
        return "give the container memory of a node that has some (cpuset.mems)"
    nodes = [str(node) for node in backing.open_nodes]
    listed = f"node {nodes[0]}" if len(nodes) == 1 else f"nodes {', '.join(nodes[:-1])} or {nodes[-1]}"
    return f"give the container CPUs of {listed}"
