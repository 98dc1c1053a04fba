"""What the manifest hides from the guest, each with the change that cures it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from launcher.cpuset import CPUSet
from launcher.host.model import CPU, AllowedCPUs, Host
from launcher.planner.demand import CPUDemand
from launcher.vmi.guest import GuestCPU, Topology

_NO_CURE = "emulated CPUs cannot tell it (topoext needs KVM)"


def hidden_from_guest(
    guest: GuestCPU, vcpus: Sequence[CPU], host: Host, *, shows_threads: bool = True
) -> tuple[str, ...]:
    """Warn where vCPUs share host cores that the guest takes for separate ones, or lie on separate ones that it takes
    for one, of guest sockets across nodes, and of vCPUs on several kinds of core."""
    if guest.shared_vcpus:
        # What the guest takes its cores and sockets for is moot where a part of them floats.
        return tuple(_mixed_kinds(vcpus, host))
    return (
        *_hidden_siblings(guest.topology, vcpus, shows_threads=shows_threads),
        *(_false_siblings(guest.topology, vcpus, host) if shows_threads else _unseen_threads(guest.topology)),
        *_split_sockets(guest, vcpus),
        *_mixed_kinds(vcpus, host),
    )


def throttled(allowed: AllowedCPUs, demand: CPUDemand) -> Iterator[str]:
    """Warn where a quota gives less time than the guest's CPUs have: dedicated CPUs would stand still by turns."""
    quota = allowed.bounds.quota
    if quota is not None and quota.cpus < demand.total:
        yield (
            f"{quota.source}: time for {quota.cpus:g} CPUs, the guest has {demand.total}: its vCPUs will be throttled; "
            "take the quota away (the kubelet's cpuCFSQuota, or the container runtime's annotation cpu-quota)"
        )


def _unseen_threads(topology: Topology) -> Iterator[str]:
    if topology.threads > 1:
        yield (
            f"the guest does not see threads: {topology.threads}, and takes its vCPUs for cores: emulated CPUs cannot "
            "tell of threads (topoext needs KVM, or a model of Intel's)"
        )


def _hidden_siblings(topology: Topology, vcpus: Sequence[CPU], *, shows_threads: bool) -> Iterator[str]:
    if topology.threads != 1:
        return
    on_core = Counter(cpu.core for cpu in vcpus)
    sharing = sum(count for count in on_core.values() if count > 1)
    if sharing:
        yield (
            f"{sharing} of {len(vcpus)} vCPUs share a host core with another while the guest sees threads: 1: "
            f"{_sibling_cure(topology, max(on_core.values())) if shows_threads else _NO_CURE}"
        )


def _false_siblings(topology: Topology, vcpus: Sequence[CPU], host: Host) -> Iterator[str]:
    """Warn of guest cores whose threads the guest takes for siblings, though they lie on different host cores."""
    if topology.threads == 1:
        return
    guest_cores = [vcpus[start : start + topology.threads] for start in range(0, len(vcpus), topology.threads)]
    split = sum(len({cpu.core for cpu in members}) > 1 for members in guest_cores)
    if split:
        yield (
            f"{split} of {len(guest_cores)} guest cores (threads: {topology.threads}) have their threads on different "
            f"host cores: {_false_sibling_cure(topology, host)}"
        )


def _false_sibling_cure(topology: Topology, host: Host) -> str:
    flat = f"set spec.domain.cpu.cores: {topology.cores * topology.threads} and threads: 1"
    most = max(Counter(cpu.core for cpu in host.cpus).values())
    if most == 1:
        return f"this host's cores have one thread: {flat}"
    if most < topology.threads:
        return f"this host's cores have {most} threads at most: {flat}"
    threads = "both threads" if topology.threads == most == 2 else "all threads"
    return f"{flat}, or give the container {threads} of each core (the kubelet's full-pcpus-only)"


def _mixed_kinds(vcpus: Sequence[CPU], host: Host) -> Iterator[str]:
    if len({cpu.kind for cpu in vcpus}) < 2:
        return
    placed = CPUSet.of(cpu.cpu for cpu in vcpus)
    listed = ", ".join(f"{kind.name} (CPUs {kind.cpus & placed})" for kind in host.kinds if kind.cpus & placed)
    yield (
        f"the vCPUs lie on different kinds of core, which the guest takes for equals: {listed}: give the container "
        f"{len(vcpus)} CPUs of one kind"
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
