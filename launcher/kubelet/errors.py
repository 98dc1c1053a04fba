"""The refusals of the simulated kubelet: each carries the reason and the message that the Pod's status would have."""

from __future__ import annotations

from launcher.errors import DoesNotFit

_PARITY = (
    ", or, where an isolated emulator makes the count uneven, set the annotation "
    "alpha.kubevirt.io/EmulatorThreadCompleteToEvenParity"
)
# What the kubelet calls an error of the CPU manager that has no reason of its own (lifecycle and cm/admission).
_UNEXPECTED = "UnexpectedAdmissionError"


class Refused(DoesNotFit):
    """The kubelet would not admit the Pod; `reason` and `status` are its words, the message is ours, with the cure."""

    reason = _UNEXPECTED

    def __init__(self, message: str, *, status: str) -> None:
        self.status = status
        super().__init__(f"the kubelet would refuse the pod: {message}")


class NotEnoughCPUs(Refused):
    """Fewer CPUs can be given away exclusively than the container asks for.

    The kubelet's own `status` may have other numbers: those of its last step, after it took some CPUs already.
    """

    def __init__(self, *, requested: int, available: int, status: str | None = None) -> None:
        self.requested = requested
        self.available = available
        words = f"not enough cpus available to satisfy request: requested={requested}, available={available}"
        super().__init__(f"{words} (neither reserved nor in use)", status=status or _unexpected(words))


class AllocationFailed(Refused):
    """The kubelet loses count while it takes CPUs, and gives none."""

    def __init__(self, words: str) -> None:
        super().__init__(f"its CPU manager fails: {words}", status=_unexpected(words))


class KubeletHangs(Refused):
    """The kubelet would never answer: distribute-cpus-across-numa goes round and round where no node has a group left.

    Source: takeByTopologyNUMADistributed, the two loops over `remainder`.
    """

    reason = ""

    def __init__(self) -> None:
        message = (
            "worse, it would never answer: its distribute-cpus-across-numa does not end where cores are free in part; "
            "reserve whole cores"
        )
        super().__init__(message, status="")


class SMTAlignmentError(Refused):
    """With full-pcpus-only the request is no multiple of a core, or not that many CPUs of unreserved cores are left.

    `available` is None in the first case; in the second the CPUs left on cores without a reserved CPU.
    """

    reason = "SMTAlignmentError"

    def __init__(self, *, requested: int, cpus_per_core: int, available: int | None = None) -> None:
        self.requested = requested
        self.cpus_per_core = cpus_per_core
        self.available = available
        super().__init__(f"SMTAlignmentError: {self._in_words()}", status=self._status())

    def _in_words(self) -> str:
        if self.available is not None:
            return (
                f"requested {self.requested} CPUs as whole cores, but only {self.available} are left on cores "
                "without a reserved CPU; request fewer or reserve whole cores"
            )
        rounded = -(-self.requested // self.cpus_per_core) * self.cpus_per_core
        return (
            f"requested {self.requested} CPUs, which is no multiple of the {self.cpus_per_core} CPUs of a core "
            f"(full-pcpus-only); request {rounded}{_PARITY if rounded == self.requested + 1 else ''}"
        )

    def _status(self) -> str:
        if self.available is None:
            found = f"requested {self.requested} cpus not multiple cpus per core = {self.cpus_per_core}"
            return f"SMT Alignment Error: {found}"
        return (
            f"SMT Alignment Error: not enough free physical CPUs: available physical CPUs = {self.available}, "
            f"requested CPUs = {self.requested}, CPUs per core = {self.cpus_per_core}"
        )


class TopologyAffinityError(Refused):
    """The Topology Manager's policy wants fewer NUMA nodes than the free CPUs, or others than the devices, are on."""

    reason = "TopologyAffinityError"

    def __init__(self, *, requested: int, policy: str, available: int, devices: str = "") -> None:
        self.requested = requested
        self.policy = policy
        self.available = available
        super().__init__(
            f"TopologyAffinityError: requested {requested} CPUs cannot be allocated "
            f"with NUMA affinity under topology-manager={policy} ({available} CPUs are free in all"
            f"{f'; the devices are on NUMA nodes {devices}' if devices else ''})",
            status="Resources cannot be allocated with Topology locality",
        )


class PodLevelAffinityError(Refused):
    """The Topology Manager finds no NUMA nodes for a pod that requests as a whole."""

    reason = "TopologyAffinityError"

    def __init__(self, words: str) -> None:
        status = f"Pod Scope pod with pod-level resources {words}"
        super().__init__(f"{self.reason}: {status}", status=status)


class EmptyPodSharedPool(Refused):
    """Of what the pod requests as a whole nothing is left for the containers that share it."""

    reason = "EmptyPodSharedPoolError"

    def __init__(self, words: str) -> None:
        super().__init__(f"{self.reason}: {words}; request more CPUs for the pod", status=words)


def _unexpected(words: str) -> str:
    return f"Allocate failed due to {words}, which is unexpected"
