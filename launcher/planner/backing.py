"""What backs the guest's memory: the nodes that have some which the container may use, and their huge pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.model import CPU, NO_NODE, AllowedCPUs, Host


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


def _cure(backing: Backing) -> str:
    if not backing.open_nodes:
        return "give the container memory of a node that has some (cpuset.mems)"
    nodes = [str(node) for node in backing.open_nodes]
    listed = f"node {nodes[0]}" if len(nodes) == 1 else f"nodes {', '.join(nodes[:-1])} or {nodes[-1]}"
    return f"give the container CPUs of {listed}"
