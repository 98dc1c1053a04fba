"""The table of terms: what the objective counts, in its order, and how each is called when a plan is explained."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import asdict

from launcher.planner.model import Proof, Score


class Term(Struct, frozen=True, kw_only=True):
    """One term: its field of the score, and its name."""

    field: str
    name: str


TERMS = (
    Term(field="cores_across_nodes", name="guest cores across NUMA nodes"),
    Term(field="cores_split", name="guest cores split over host cores"),
    Term(field="vcpus_beside_housekeeping", name="vCPUs beside housekeeping"),
    Term(field="node_crossings", name="NUMA node crossings"),
    Term(field="nodes_used", name="NUMA nodes used"),
    Term(field="cache_crossings", name="cache crossings"),
)


def values(score: Score) -> tuple[int, ...]:
    """Return the terms' values in their order."""
    fields = asdict(score)
    return tuple(fields[term.field] for term in TERMS)


def proof_of(score: Score, least: Sequence[int], sure: int) -> Proof:
    """Compare a score with the least values that its terms can have; the first `sure` terms are known to be least."""
    for index, (term, value) in enumerate(zip(TERMS, values(score), strict=True)):
        if index >= sure and value > least[index]:
            return Proof(optimal=False, term=term.name, at_most_off_by=value - least[index])
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
