"""The objective: the score of a finished placement, terms 1 to 6 of DESIGN's "The placement"."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from launcher.host.model import CPU
from launcher.planner.model import Score
from launcher.vmi.guest import Topology


def score(vcpus: Sequence[CPU], topology: Topology, housekeeping: Iterable[CPU] = ()) -> Score:
    """Score the placement that gives vCPU i the host CPU `vcpus[i]` and reserves `housekeeping`.

    Term 1 counts guest cores whose threads lie on more than one NUMA node, 2 those on more than one host core (every
    guest core of term 1 is among them). Term 3 counts vCPUs on a host core that also carries a CPU reserved for the
    emulator or a pool IOThread; left-over CPUs that the emulator may use are not reserved and do not count. Terms 4
    and 6 sum, over the guest's sockets, the NUMA nodes and last-level caches used minus one; term 5 counts the nodes
    that carry a vCPU. CPUs that belong to no node count as one node of their own.
    """
    guest_cores = _slices(vcpus, topology.threads)
    guest_sockets = _slices(vcpus, topology.threads * topology.cores)
    busy = {cpu.core for cpu in housekeeping}
    return Score(
        cores_across_nodes=sum(len({cpu.node for cpu in core}) > 1 for core in guest_cores),
        cores_split=sum(len({cpu.core for cpu in core}) > 1 for core in guest_cores),
        vcpus_beside_housekeeping=sum(cpu.core in busy for cpu in vcpus),
        node_crossings=_crossings([{cpu.node for cpu in socket} for socket in guest_sockets]),
        nodes_used=len({cpu.node for cpu in vcpus}),
        cache_crossings=_crossings([{cpu.cache for cpu in socket} for socket in guest_sockets]),
    )


def _slices(vcpus: Sequence[CPU], size: int) -> list[Sequence[CPU]]:
    return [vcpus[start : start + size] for start in range(0, len(vcpus), size)]


def _crossings(used: Collection[Collection[int]]) -> int:
    return sum(len(places) - 1 for places in used)
