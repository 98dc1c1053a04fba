"""What the manifest hides from the guest, each with the change that cures it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from launcher.host.model import CPU
from launcher.vmi.guest import GuestCPU, Topology


def hidden_from_guest(guest: GuestCPU, vcpus: Sequence[CPU]) -> tuple[str, ...]:
    """Warn where vCPUs share host cores that the guest takes for separate ones, and of guest sockets across nodes."""
    return (*_hidden_siblings(guest.topology, vcpus), *_split_sockets(guest, vcpus))


def _hidden_siblings(topology: Topology, vcpus: Sequence[CPU]) -> Iterator[str]:
    if topology.threads != 1:
        return
    on_core = Counter(cpu.core for cpu in vcpus)
    sharing = sum(count for count in on_core.values() if count > 1)
    if sharing:
        yield (
            f"{sharing} of {len(vcpus)} vCPUs share a host core with another while the guest sees threads: 1: "
            f"{_sibling_cure(topology, max(on_core.values()))}"
        )


def _sibling_cure(topology: Topology, threads: int) -> str:
    so_that = f"threads: {threads}, so that the guest knows"
    if topology.cores % threads == 0:
        return f"set spec.domain.cpu.cores: {topology.cores // threads} and {so_that}"
    if topology.sockets % threads == 0:
        return f"set spec.domain.cpu.sockets: {topology.sockets // threads} and {so_that}"
    return f"make spec.domain.cpu.cores a multiple of {threads} and divide it for {so_that}"


def _split_sockets(guest: GuestCPU, vcpus: Sequence[CPU]) -> Iterator[str]:
    size = guest.topology.cores * guest.topology.threads
    for socket in range(guest.topology.sockets):
        counts = Counter(cpu.node for cpu in vcpus[socket * size : (socket + 1) * size])
        if len(counts) > 1:
            nodes = " and ".join(str(node) for node in sorted(counts))
            yield f"guest socket {socket} lies on NUMA nodes {nodes}: {_socket_cure(guest, vcpus)}"


def _socket_cure(guest: GuestCPU, vcpus: Sequence[CPU]) -> str:
    """Name the number of sockets that fits the nodes as they are, or else what the container would have to get."""
    per_node = Counter(cpu.node for cpu in vcpus)
    cores = guest.topology.sockets * guest.topology.cores
    if len(set(per_node.values())) == 1 and cores % len(per_node) == 0:
        return f"set spec.domain.cpu.sockets: {len(per_node)} and cores: {cores // len(per_node)}, one socket for each"
    size = guest.topology.cores * guest.topology.threads
    return f"give the container CPUs in multiples of {size} on each node, or make the guest's sockets smaller"
