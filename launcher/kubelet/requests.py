"""What a pod's containers request, its QoS class, and how many CPUs each container gets for itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from launcher.kubelet.version import NEWEST, KubeletVersion
from launcher.planner.demand import cpu_demand
from launcher.quantity import Quantity, parse_quantity
from launcher.vmi.guest import Guest

# KubeVirt's default spec.configuration.developerConfiguration.cpuAllocationRatio: ten vCPUs share a CPU.
_VCPUS_PER_CPU = 10
_UNSET = Quantity()


class QoSClass(StrEnum):
    """The quality-of-service class of a pod, as `status.qosClass` has it."""

    GUARANTEED = "Guaranteed"
    BURSTABLE = "Burstable"
    BEST_EFFORT = "BestEffort"


class Amount(Struct, frozen=True, kw_only=True):
    """The request and the limit of one resource; zero means unset, as the QoS rules have it."""

    request: Quantity = _UNSET
    limit: Quantity = _UNSET


class ContainerRequests(Struct, frozen=True, kw_only=True):
    """One container's CPU (in CPUs) and memory (in bytes); `restartable` marks an init container as a sidecar."""

    name: str
    cpu: Amount = Amount()
    memory: Amount = Amount()
    restartable: bool = False


class PodLevel(Struct, frozen=True, kw_only=True):
    """What a pod requests as a whole (`spec.resources`), beside what its containers do."""

    cpu: Amount = Amount()
    memory: Amount = Amount()


class PodRequests(Struct, frozen=True, kw_only=True):
    """A pod's containers in the order in which the kubelet admits them: init containers first."""

    containers: tuple[ContainerRequests, ...]
    init_containers: tuple[ContainerRequests, ...] = ()
    level: PodLevel | None = None

    @property
    def in_order(self) -> tuple[ContainerRequests, ...]:
        """All containers, init containers first."""
        return self.init_containers + self.containers


def requests_of(
    resources: Mapping[str, Mapping[str, str | int | float]], *, name: str = "compute", restartable: bool = False
) -> ContainerRequests:
    """Read a container's `resources` mapping; a request that is not given is the limit, as the API server defaults it.

    Raises ValueError that names the entry, such as "limits.cpu: 'four' is not a quantity …".
    """
    return ContainerRequests(
        name=name, cpu=_amount(resources, "cpu"), memory=_amount(resources, "memory"), restartable=restartable
    )


def qos_class(pod: PodRequests, version: KubeletVersion = NEWEST) -> QoSClass:
    """Return the pod's QoS class, by CPU and memory of all its containers, init containers included.

    Guaranteed: both have limits, and requests equal them, in each container (before 1.37 in the sum over all);
    BestEffort: nothing is set anywhere. What the pod requests as a whole counts alone. Source: pkg/apis/core/v1/
    helper/qos, ComputePodQOS.
    """
    if pod.level is not None:
        return _class_of(pod.level.cpu, pod.level.memory)
    if version.judges_each_container:
        classes = {_class_of(container.cpu, container.memory) for container in pod.in_order}
        return classes.pop() if len(classes) == 1 else QoSClass.BURSTABLE
    return _class_of_sums(pod.in_order)


def _class_of(cpu: Amount, memory: Amount) -> QoSClass:
    amounts = (cpu, memory)
    if not any(amount.request or amount.limit for amount in amounts):
        return QoSClass.BEST_EFFORT
    is_guaranteed = all(amount.limit and amount.request == amount.limit for amount in amounts)
    return QoSClass.GUARANTEED if is_guaranteed else QoSClass.BURSTABLE


def _class_of_sums(containers: tuple[ContainerRequests, ...]) -> QoSClass:
    columns = [container.cpu for container in containers], [container.memory for container in containers]
    amounts = [amount for column in columns for amount in column]
    sums = [
        Amount(request=_total(amount.request for amount in column), limit=_total(amount.limit for amount in column))
        for column in columns
    ]
    qos = _class_of(*sums)
    is_limited = all(amount.limit for amount in amounts)
    return QoSClass.BURSTABLE if qos is QoSClass.GUARANTEED and not is_limited else qos


def exclusive_cpus(container: ContainerRequests, qos: QoSClass) -> int:
    """Return how many CPUs of its own the container gets: its request, if whole, in a Guaranteed pod; else 0."""
    return whole_cpus(container.cpu.request) if qos is QoSClass.GUARANTEED else 0


def whole_cpus(request: Quantity) -> int:
    """Return the request if it is a whole number of CPUs, else 0."""
    return request.ceil if request.ceil * 1000 == request.milli else 0


def is_guaranteed_by_itself(container: ContainerRequests) -> bool:
    """Tell whether the container's own requests equal its limits, CPU and memory."""
    return _class_of(container.cpu, container.memory) is QoSClass.GUARANTEED


def pod_of(guest: Guest) -> PodRequests:
    """Return what the launcher pod of this guest requests: CPUs for its vCPUs, pool IOThreads and isolated emulator.

    Only what the CPU manager looks at is true to the last digit: memory is the guest's alone, without the launcher's
    overhead. A guest without dedicated CPUs requests a tenth of a CPU for each vCPU, without a limit (KubeVirt's
    default cpuAllocationRatio).
    """
    memory = Quantity.of_units(guest.memory.guest_bytes, binary=True)
    if guest.cpu.dedicated:
        cpu = Quantity.of_units(cpu_demand(guest).total)
        compute = ContainerRequests(
            name="compute", cpu=Amount(request=cpu, limit=cpu), memory=Amount(request=memory, limit=memory)
        )
    else:
        share = Quantity(Quantity.of_units(guest.cpu.topology.vcpus).nano // _VCPUS_PER_CPU)
        compute = ContainerRequests(name="compute", cpu=Amount(request=share), memory=Amount(request=memory))
    return PodRequests(containers=(compute,))


def level_of(resources: Mapping[str, Mapping[str, str | int | float]]) -> PodLevel:
    """Read a pod's own `resources`; raises ValueError as requests_of does."""
    return PodLevel(cpu=_amount(resources, "cpu"), memory=_amount(resources, "memory"))


def _amount(resources: Mapping[str, Mapping[str, str | int | float]], resource: str) -> Amount:
    limit = _quantity(resources, "limits", resource)
    request = _quantity(resources, "requests", resource)
    return Amount(request=request if request is not None else limit or _UNSET, limit=limit or _UNSET)


def _quantity(resources: Mapping[str, Mapping[str, str | int | float]], section: str, resource: str) -> Quantity | None:
    text = resources.get(section, {}).get(resource)
    if text is None:
        return None
    try:
        quantity = parse_quantity(text)
    except ValueError as error:
        raise ValueError(f"{section}.{resource}: {error}") from error
    if quantity < _UNSET:
        raise ValueError(f"{section}.{resource}: {text!r} is negative")
    return quantity


def _total(quantities: Iterable[Quantity]) -> Quantity:
    return sum(quantities, start=_UNSET)
