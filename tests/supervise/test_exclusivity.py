"""The grading of evidence that the CPUs are ours alone."""

from __future__ import annotations

import pytest

from launcher.cpuset import CPUSet
from launcher.supervise.exclusivity import Evidence, grade
from launcher.supervise.snapshot import Exclusivity


def _evidence(
    cpuset: str,
    needed: int,
    *,
    partition: str | None = None,
    assigned: tuple[str, ...] = (),
    policy: str = "static",
    pool: str = "",
) -> Evidence:
    return Evidence(
        cpuset=CPUSet.parse(cpuset),
        online=CPUSet.parse("0-7"),
        needed=needed,
        partition=partition,
        kubelet_assignments=tuple(CPUSet.parse(text) for text in assigned),
        kubelet_policy=policy,
        kubelet_pool=CPUSet.parse(pool),
        kubelet_source="/state",
    )


@pytest.mark.parametrize(
    ("evidence", "wanted", "reason"),
    [
        (_evidence("2-3", 2, partition="root"), Exclusivity.PROVEN, "the cpuset is a partition (root)"),
        (_evidence("0-7", 2, partition="isolated"), Exclusivity.PROVEN, "the cpuset is a partition (isolated)"),
        (_evidence("2-3", 2, assigned=("4-5", "2-3")), Exclusivity.PROVEN, "/state gives CPU 2-3 to one container"),
        (
            _evidence("2-3", 2, partition="member", assigned=("2-4",)),
            Exclusivity.LIKELY,
            "the cpuset holds exactly the 2 CPUs that the guest needs, of the machine's 8",
        ),
        (_evidence("2-4", 2), Exclusivity.SHARED, "the cpuset holds 3 of the machine's 8 CPUs, the guest needs 2"),
        (
            _evidence("2-4", 2, partition="root invalid (no CPU)"),
            Exclusivity.SHARED,
            "the cpuset holds 3 of the machine's 8 CPUs, the guest needs 2; its partition is root invalid (no CPU)",
        ),
        (_evidence("0-7", 8), Exclusivity.SHARED, "the cpuset holds 8 of the machine's 8 CPUs, the guest needs 8"),
    ],
    ids=[
        "a partition of the kernel proves it",
        "an isolated partition proves it whatever its size",
        "the kubelet's state file proves it",
        "a set that only overlaps an assignment proves nothing; the exact size makes it likely",
        "more CPUs than needed are taken to be shared",
        "a partition that the kernel does not grant proves nothing, and the kernel's reason is told",
        "the whole machine is taken to be shared",
    ],
)
def test_evidence_is_graded(evidence: Evidence, wanted: Exclusivity, reason: str) -> None:
    found = grade(evidence)
    assert (found.exclusivity, found.reason) == (wanted, reason)


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        pytest.param(
            _evidence("2-3", 2, assigned=("2-3",), pool="0-2,4-7"),
            "/state contradicts itself: it gives CPU 2-3 to one container, and has CPU 2 in the shared pool, too",
            id="the shared pool holds them, too",
        ),
        pytest.param(
            _evidence("2-3", 2, assigned=("2-3",), policy="none"),
            "/state contradicts itself: it gives CPU 2-3 to one container, and its policy is 'none'",
            id="the policy gives nobody any",
        ),
        pytest.param(
            _evidence("2-3", 2, assigned=("2-3", "3-4")),
            "/state contradicts itself: it gives CPU 2-3 to one container, and CPU 3 to another one, too",
            id="another container has one of them",
        ),
        pytest.param(
            _evidence("2-3", 2, assigned=("2-3", "2-3")),
            "/state contradicts itself: it gives CPU 2-3 to one container, and CPU 2-3 to another one, too",
            id="another container has the same",
        ),
        pytest.param(
            _evidence("2-3", 2, pool="0-7"),
            "/state contradicts the cpuset: it has CPU 2-3 in the shared pool",
            id="a cpuset of the right size out of the shared pool",
        ),
    ],
)
def test_a_state_file_that_contradicts_is_no_proof_and_its_words_are_told(evidence: Evidence, reason: str) -> None:
    found = grade(evidence)
    assert (found.exclusivity, found.reason) == (Exclusivity.SHARED, reason)


def test_the_kernels_word_counts_for_more_than_the_kubelets() -> None:
    found = grade(_evidence("2-3", 2, partition="root", pool="0-7"))
    assert found.exclusivity is Exclusivity.PROVEN
