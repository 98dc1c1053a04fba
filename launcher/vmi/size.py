"""How large a guest is, where a manifest has several places to say it: vCPUs, memory, and the CPUs it asks for."""

from __future__ import annotations

from msgspec import Struct

from launcher.quantity import Quantity
from launcher.vmi.guest import Topology
from launcher.vmi.schema import CPU, DomainSpec, ResourceRequirements

REQUESTS = "spec.domain.resources.requests"
LIMITS = "spec.domain.resources.limits"
PAGE_SIZE = "spec.domain.memory.hugepages.pageSize"


class MemorySize(Struct, frozen=True, kw_only=True):
    """The guest's memory, and the field that says it."""

    quantity: Quantity
    path: str


def topology_of(domain: DomainSpec) -> Topology | None:
    """Return the guest's topology: what `cpu` says, else limits.cpu, else requests.cpu, as sockets; None if none does.

    Zero is as absent. Source: KubeVirt's pkg/virt-launcher/virtwrap/converter/vcpu, GetCPUTopology.
    """
    cpu = domain.cpu
    if has_topology(cpu):
        return Topology(sockets=cpu.sockets or 1, cores=cpu.cores or 1, threads=cpu.threads or 1)
    amount = given(domain.resources.limits, "cpu") or given(domain.resources.requests, "cpu")
    return None if amount is None else Topology(sockets=max(1, amount.ceil))


def has_topology(cpu: CPU) -> bool:
    """Tell whether any of sockets, cores and threads is given."""
    return bool(cpu.sockets or cpu.cores or cpu.threads)


def memory_of(domain: DomainSpec) -> MemorySize | None:
    """Return the guest's memory: memory.guest, requests.memory, limits.memory, or one huge page; None if none is given.

    Source: KubeVirt's setGuestMemory (pkg/defaults/defaults.go).
    """
    if domain.memory.guest is not None:
        return MemorySize(quantity=domain.memory.guest, path="spec.domain.memory.guest")
    for path, amounts in ((REQUESTS, domain.resources.requests), (LIMITS, domain.resources.limits)):
        amount = given(amounts, "memory")
        if amount is not None:
            return MemorySize(quantity=amount, path=f"{path}.memory")
    if domain.memory.hugepages is not None:
        return MemorySize(quantity=domain.memory.hugepages.page_size, path=PAGE_SIZE)
    return None


def requested_cpus(resources: ResourceRequirements) -> int:
    """Return the CPUs that the guest asks of Kubernetes, rounded up: requests.cpu, else limits.cpu, else 1.

    Source: KubeVirt's getThreadPoolLimit (converter/iothreads).
    """
    amount = given(resources.requests, "cpu") or given(resources.limits, "cpu")
    return 1 if amount is None else amount.ceil


def given(amounts: dict[str, Quantity], resource: str) -> Quantity | None:
    """Return how much of a resource is asked for; None where it is absent or 0, which means the same."""
    return amounts.get(resource) or None
