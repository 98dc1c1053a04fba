"""What a pod's containers request, its QoS class, and how many CPUs each container gets for itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

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


class PodRequests(Struct, frozen=True, kw_only=True):
    """A pod's containers in the order in which the kubelet admits them: init containers first."""

    containers: tuple[ContainerRequests, ...]
    init_containers: tuple[ContainerRequests, ...] = ()


def requests_of(
    resources: Mapping[str, Mapping[str, str | int | float]], *, name: str = "compute", restartable: bool = False
) -> ContainerRequests:
    """Read a container's `resources` mapping; a request that is not given is the limit, as the API server defaults it.

    Raises ValueError that names the entry, such as "limits.cpu: 'four' is not a quantity …".
    """
    return ContainerRequests(
        name=name, cpu=_amount(resources, "cpu"), memory=_amount(resources, "memory"), restartable=restartable
    )


def qos_class(pod: PodRequests) -> QoSClass:
    """Return the pod's QoS class, by CPU and memory of all its containers, init containers included.

    Guaranteed: every container has both limits, and the sums of requests equal those of limits; BestEffort: nothing
    is set anywhere. Source: Kubernetes, "Configure Quality of Service for Pods"; pkg/apis/core/v1/helper/qos.
    """
    containers = pod.init_containers + pod.containers
    columns = [container.cpu for container in containers], [container.memory for container in containers]
    amounts = [amount for column in columns for amount in column]
    if not any(amount.request or amount.limit for amount in amounts):
        return QoSClass.BEST_EFFORT
    limited = all(amount.limit for amount in amounts)
    balanced = all(
        _total(amount.request for amount in column) == _total(amount.limit for amount in column) for column in columns
    )
    return QoSClass.GUARANTEED if limited and balanced else QoSClass.BURSTABLE


def exclusive_cpus(container: ContainerRequests, qos: QoSClass) -> int:
    """Return how many CPUs of its own the container gets: its request, if whole, in a Guaranteed pod; else 0."""
    request = container.cpu.request
    if qos is not QoSClass.GUARANTEED or request.ceil * 1000 != request.milli:
        return 0
    return request.ceil


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
