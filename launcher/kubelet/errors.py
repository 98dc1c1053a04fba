"""The refusals of the simulated kubelet: each carries the kubelet's own reason and its numbers."""

from __future__ import annotations

from launcher.errors import DoesNotFit

_PARITY = (
    ", or, where an isolated emulator makes the count uneven, set the annotation "
    "alpha.kubevirt.io/EmulatorThreadCompleteToEvenParity"
)


class NotEnoughCPUs(DoesNotFit):
    """Fewer CPUs can be given away exclusively than the container asks for."""

    def __init__(self, *, requested: int, available: int) -> None:
        self.requested = requested
        self.available = available
        super().__init__(
            "the kubelet would refuse the pod: not enough cpus available to satisfy request: "
            f"requested={requested}, available={available} (neither reserved nor in use)"
        )


class SMTAlignmentError(DoesNotFit):
    """With full-pcpus-only the request is no multiple of a core, or not that many CPUs of unreserved cores are left.

    `available` is None in the first case; in the second the CPUs left on cores without a reserved CPU.
    """

    def __init__(self, *, requested: int, cpus_per_core: int, available: int | None = None) -> None:
        self.requested = requested
        self.cpus_per_core = cpus_per_core
        self.available = available
        super().__init__(f"the kubelet would refuse the pod: SMTAlignmentError: {self._reason()}")

    def _reason(self) -> str:
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


class TopologyAffinityError(DoesNotFit):
    """The Topology Manager's policy wants fewer NUMA nodes than the free CPUs are spread over."""

    def __init__(self, *, requested: int, policy: str, available: int) -> None:
        self.requested = requested
        self.policy = policy
        self.available = available
        super().__init__(
            f"the kubelet would refuse the pod: TopologyAffinityError: requested {requested} CPUs cannot be allocated "
            f"with NUMA affinity under topology-manager={policy} ({available} CPUs are free in all)"
        )
