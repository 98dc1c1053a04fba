"""What is to be known of the kubelet's answer: where it gives away what it should not, and what it does not promise."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.cpuset import CPUSet
from launcher.host.model import Host
from launcher.kubelet.options import Feature, KubeletOptions
from launcher.kubelet.topology import Topology, topology_of


def doubts(cpus: CPUSet, host: Host, options: KubeletOptions, reserved: CPUSet) -> tuple[str, ...]:
    """Return the warnings about the CPUs that a container gets."""
    topology = topology_of(host)
    return (
        *_of_taken_cpus(cpus, options, reserved),
        *_of_a_share(cpus, topology, options),
        *_of_whole_cores(topology, options),
    )


def doubts_of_host(host: Host) -> tuple[str, ...]:
    """Return the warnings about a host on which a kubelet with the static policy runs, or may run one day."""
    topology = topology_of(host)
    cores = _cores_that_seem_free(topology)
    if not cores:
        return ()
    offline = f" (offline: {host.offline})" if host.offline else ""
    warning = (
        f"under a kubelet with the static CPU manager: not all cores have as many CPUs online{offline}, it takes each "
        f"to have {topology.cpus_per_core}, the average, and where that many CPUs of {_some(cores)} are free it gives "
        "away all of the core, CPUs included that are reserved or another container's; "
    )
    cure = "bring the CPUs online, or take whole cores offline" if host.offline else "switch their threads (SMT) off"
    warning += cure
    return (warning,)


def _of_taken_cpus(cpus: CPUSet, options: KubeletOptions, reserved: CPUSet) -> Iterator[str]:
    for taken, whose in ((cpus & reserved, "reserved for the system"), (cpus & options.in_use, "in use by others")):
        if taken:
            yield (
                f"the kubelet gives away CPU {taken}, which is {whose}: where cores are of unequal size, as with a "
                "thread offline, it takes a core for free that is free in part; nothing is exclusive about it"
            )


def _of_a_share(cpus: CPUSet, topology: Topology, options: KubeletOptions) -> Iterator[str]:
    """Warn where the last of the nodes is not the one that the kubelet's own rules would choose."""
    used = sum(1 for node in topology.nodes if node.cpus & cpus.mask)
    if Feature.DISTRIBUTE_ACROSS_NUMA in options.features and 4 <= used < len(topology.nodes):
        yield (
            f"{Feature.DISTRIBUTE_ACROSS_NUMA} over {used} of {len(topology.nodes)} NUMA nodes: kubelets have the bug "
            "kubernetes/kubernetes#141237 (1.36 and 1.37 do), which decides about the last node; a mended one may take "
            "another"
        )


def _of_whole_cores(topology: Topology, options: KubeletOptions) -> Iterator[str]:
    """Warn where full-pcpus-only is not what its name says: cores of unequal size, such as with a thread offline.

    The kubelet divides the CPUs that are online (cAdvisor skips the others) by the cores, and takes that for each
    core's size. Source: pkg/kubelet/cm/cpumanager, topology.go (CPUsPerCore) and policy_static.go (Allocate).
    """
    if Feature.FULL_PCPUS_ONLY not in options.features:
        return
    largest = max((core.cpus.bit_count() for core in topology.cores), default=1)
    if topology.cpus_per_core != largest:
        yield (
            f"{Feature.FULL_PCPUS_ONLY} promises no whole cores on this host: not all cores have {largest} CPUs "
            f"online, and the kubelet takes each to have {topology.cpus_per_core}, the average "
            f"({topology.size} CPUs on {len(topology.cores)} cores)"
        )


def _cores_that_seem_free(topology: Topology) -> list[CPUSet]:
    """Return the cores that have more CPUs than the kubelet thinks, and so can be free to it while one is taken."""
    return [CPUSet(core.cpus) for core in topology.cores if core.cpus.bit_count() > topology.cpus_per_core]


def _some(cores: list[CPUSet]) -> str:
    shown = "; ".join(map(str, cores[:3]))
    return f"a core such as {shown}" if len(cores) > 1 else f"the core {shown}"
