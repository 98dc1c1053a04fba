"""The evidence that the cpuset's CPUs are ours alone, graded."""

from __future__ import annotations

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.supervise.snapshot import Exclusivity

_STATIC = "static"


class Evidence(Struct, frozen=True, kw_only=True):
    """What is known of the cpuset.

    `online` are the machine's CPUs, `needed` the number that the guest asks for, `partition` the cpuset's partition
    type (cgroup v2). A kubelet's state file tells its policy, the CPUs that it gives to one container each
    (`kubelet_assignments`), and those that all others share (`kubelet_pool`).
    """

    cpuset: CPUSet
    online: CPUSet
    needed: int
    partition: str | None = None
    kubelet_assignments: tuple[CPUSet, ...] = ()
    kubelet_policy: str = _STATIC
    kubelet_pool: CPUSet = CPUSet()
    kubelet_source: str = ""


class Grade(Struct, frozen=True, kw_only=True):
    """How sure it is that nobody else runs on the CPUs, and the evidence in a sentence."""

    exclusivity: Exclusivity
    reason: str


def grade(evidence: Evidence) -> Grade:
    """Grade the evidence: proven by the kernel or the kubelet, likely by the size alone, shared otherwise.

    A cpuset partition (`cpuset.cpus.partition`: root or isolated, Documentation/admin-guide/cgroup-v2.rst) is exclusive
    among its siblings; the kubelet's static CPU manager lists exclusive CPUs container by container. A state file that
    contradicts this, or itself, is evidence that something is wrong, and shows nothing.
    """
    if evidence.partition in ("root", "isolated"):
        return Grade(exclusivity=Exclusivity.PROVEN, reason=f"the cpuset is a partition ({evidence.partition})")
    contradiction = _contradiction(evidence)
    if contradiction is not None:
        return Grade(exclusivity=Exclusivity.SHARED, reason=f"{evidence.kubelet_source} {contradiction}")
    if evidence.cpuset and evidence.cpuset in evidence.kubelet_assignments:
        reason = f"{evidence.kubelet_source} gives CPU {evidence.cpuset} to one container"
        return Grade(exclusivity=Exclusivity.PROVEN, reason=reason)
    return _grade_size(evidence)


def _contradiction(evidence: Evidence) -> str | None:
    """Say what in the kubelet's state file speaks against CPUs of our own; None where nothing does."""
    cpuset, assignments = evidence.cpuset, evidence.kubelet_assignments
    pooled = cpuset & evidence.kubelet_pool
    given = f"gives CPU {cpuset} to one container" if cpuset in assignments else ""
    if pooled and given:
        return f"contradicts itself: it {given}, and has CPU {pooled} in the shared pool, too"
    if given and evidence.kubelet_policy != _STATIC:
        return f"contradicts itself: it {given}, and its policy is {evidence.kubelet_policy[:40]!r}"
    others = [cpus & cpuset for cpus in assignments if cpus & cpuset]
    if given and len(others) > 1:
        return f"contradicts itself: it {given}, and CPU {others[0] & others[1]} to another one, too"
    if pooled and evidence.kubelet_policy == _STATIC:
        return f"contradicts the cpuset: it has CPU {pooled} in the shared pool"
    return None


def _grade_size(evidence: Evidence) -> Grade:
    size, machine, doubt = len(evidence.cpuset), len(evidence.online), _doubt(evidence.partition)
    if size == evidence.needed and size < machine:
        reason = f"the cpuset holds exactly the {size} CPUs that the guest needs, of the machine's {machine}{doubt}"
        return Grade(exclusivity=Exclusivity.LIKELY, reason=reason)
    reason = f"the cpuset holds {size} of the machine's {machine} CPUs, the guest needs {evidence.needed}{doubt}"
    return Grade(exclusivity=Exclusivity.SHARED, reason=reason)


def _doubt(partition: str | None) -> str:
    """Say what the kernel says of a partition that it does not grant, such as "root invalid (...)"; else nothing."""
    return "" if partition in (None, "", "member") else f"; its partition is {partition}"
