"""The objective: the table of its terms, in their order and by name; what a placement scores; how good that is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from launcher.host.model import CPU
from launcher.planner.model import Proof, Score
from launcher.vmi.guest import Topology

# The fields of a score in their order, each with its name.
TERMS = {
    "cores_across_nodes": "guest cores across NUMA nodes",
    "cores_split": "guest cores split over host cores",
    "vcpus_beside_housekeeping": "vCPUs beside housekeeping",
    "node_crossings": "NUMA node crossings",
    "nodes_used": "NUMA nodes used",
    "cache_crossings": "cache crossings",
}


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


def values(score: Score) -> tuple[int, ...]:
    """Return the terms' values in their order."""
    return tuple(getattr(score, field) for field in TERMS)


def proof_of(score: Score, least: Sequence[int], sure: int) -> Proof:
    """Compare a score with the least values that its terms can have; the first `sure` terms are known to be least."""
    for index, (field, name) in enumerate(TERMS.items()):
        value: int = getattr(score, field)
        if index >= sure and value > least[index]:
            return Proof(optimal=False, term=name, at_most_off_by=value - least[index])
    return Proof(optimal=True)


def proof_explained(score: Score, least: Sequence[int], sure: int) -> str:
    """Say how it is known that nothing scores better, or what is not known."""
    if values(score) == tuple(least):
        return "proved by counting alone: with these CPUs no term can be less"
    proof = proof_of(score, least, sure)
    if proof.optimal:
        return "proved by the search, which left out nothing that could be less"
    return f"{proof_in_words(proof)}: the search ended by its effort; the terms before that one are proved"


def proof_in_words(proof: Proof) -> str:
    """Say whether a placement is proved to be the best."""
    if proof.optimal:
        return "optimal: no placement scores better"
    return f"not proved optimal: {proof.term} may be up to {proof.at_most_off_by} more than need be"
