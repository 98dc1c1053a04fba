"""What a launcher's containers request of Kubernetes, and the sum behind it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from launcher.planner.demand import cpu_demand
from launcher.pod.options import PodOptions
from launcher.pod.overhead import Item, mebibytes_of, memory_overhead, total_mebibytes
from launcher.quantity import Quantity
from launcher.vmi.guest import Guest, IOThreadsPolicy
from launcher.vmi.guest_machine import InterfaceBackend
from launcher.vmi.manifest import Value
from launcher.vmi.schema import ResourceRequirements, VirtualMachineInstance
from launcher.vmi.size import given

# KubeVirt's resources of /dev/net/tun and /dev/vhost-vsock.
TUN_RESOURCE = "devices.kubevirt.io/tun"
VSOCK_RESOURCE = "devices.kubevirt.io/vhost-vsock"
_TUN_BACKENDS = (InterfaceBackend.BRIDGE, InterfaceBackend.TAP)


class Resources(Struct, frozen=True, kw_only=True):
    """A container's requests and limits by resource, as Kubernetes writes them, and how they came about in words."""

    requests: tuple[tuple[str, str], ...]
    limits: tuple[tuple[str, str], ...]
    reasons: tuple[str, ...] = ()

    @property
    def value(self) -> dict[str, Value]:
        """The container's `resources`."""
        return {"requests": dict(self.requests), "limits": dict(self.limits)}


def helper_resources(cpu: str, memory: str) -> Resources:
    """Return what a container beside the launcher has: requests equal to limits, so that the pod stays Guaranteed."""
    amounts = (("cpu", cpu), ("memory", memory))
    return Resources(requests=amounts, limits=amounts)


def launcher_resources(vmi: VirtualMachineInstance, guest: Guest, options: PodOptions) -> Resources:
    """Return what the launcher's container requests.

    With dedicated CPUs requests equal limits: whole CPUs for vCPUs, IOThread pool and isolated emulator, and memory for
    the guest and everything around it. Without, the manifest's own requests and limits are taken; a request that is
    not given is the limit, else a share of a CPU for each vCPU and the guest's memory.
    """
    sizing = _Sizing(vmi=vmi, guest=guest, options=options)
    cpu = sizing.exclusive_cpus() if guest.cpu.dedicated else sizing.shared_cpus()
    memory = sizing.memory()
    devices = tuple(sizing.devices())
    return Resources(
        requests=(*cpu.requests, *memory.requests, *devices, *_others(vmi.spec.domain.resources.requests)),
        limits=(*cpu.limits, *memory.limits, *devices, *_others(vmi.spec.domain.resources.limits)),
        reasons=(*cpu.reasons, *memory.reasons),
    )


def _others(amounts: dict[str, Quantity]) -> Iterator[tuple[str, str]]:
    """Yield the resources of which only Kubernetes knows the meaning."""
    return ((name, str(amount)) for name, amount in sorted(amounts.items()) if name not in ("cpu", "memory"))


class _Sizing(Struct, frozen=True, kw_only=True):
    """The three things that a size follows from."""

    vmi: VirtualMachineInstance
    guest: Guest
    options: PodOptions

    @property
    def wished(self) -> ResourceRequirements:
        return self.vmi.spec.domain.resources

    def exclusive_cpus(self) -> Resources:
        demand = cpu_demand(self.guest)
        amount = (("cpu", str(demand.total)),)
        return Resources(requests=amount, limits=amount, reasons=(f"cpu: {demand.total} = {demand}",))

    def shared_cpus(self) -> Resources:
        limit = given(self.wished.limits, "cpu")
        request = given(self.wished.requests, "cpu") or limit
        reason = f"cpu: {request}, as the manifest says"
        if request is None:
            threads = self.guest.cpu.topology.vcpus + _pool(self.guest)
            # Thousandths of a CPU, rounded up: Kubernetes knows nothing smaller.
            request = Quantity(-(-threads * 1000 // self.options.vcpus_per_cpu) * 10**6)
            shared = f"{threads} vCPUs and pool IOThreads / {self.options.vcpus_per_cpu}"
            reason = f"cpu: {request} = {shared} that share a CPU"
        return Resources(
            requests=(("cpu", str(request)),),
            limits=() if limit is None else (("cpu", str(limit)),),
            reasons=(reason,),
        )

    def memory(self) -> Resources:
        items = self.overhead()
        pages = self.guest.memory.huge_page_bytes
        own = mebibytes_of(self.guest.memory.guest_bytes) if pages is None else 0
        request, limit = self.wished_mebibytes()
        beside = total_mebibytes(items)
        huge = () if pages is None else (_huge_pages(pages, self.guest.memory.guest_bytes),)
        return Resources(
            requests=(("memory", f"{own + request + beside}Mi"), *huge),
            limits=((("memory", f"{own + limit + beside}Mi"),) if limit is not None else ()) + huge,
            reasons=tuple(_sum_in_words(own=own, more=request, items=items, huge=huge)),
        )

    def overhead(self) -> tuple[Item, ...]:
        return memory_overhead(self.guest, is_emulated=self.options.is_emulated, is_guaranteed=self.guest.cpu.dedicated)

    def wished_mebibytes(self) -> tuple[int, int | None]:
        """Return by how much the manifest's request and limit of memory differ from the guest's; a limit may be none.

        A guest with dedicated CPUs gets what is largest, as request and limit; it is never overcommitted.
        """
        guest = mebibytes_of(self.guest.memory.guest_bytes)
        limit = _mebibytes(given(self.wished.limits, "memory"))
        request = _mebibytes(given(self.wished.requests, "memory"))
        if self.guest.cpu.dedicated:
            most = max(guest, limit or 0, request or 0) - guest
            return most, most
        request = limit if request is None else request
        more = 0 if request is None else request - guest
        if self.guest.memory.huge_page_bytes is not None:
            more = max(0, more)
        return more, None if limit is None else max(more, limit - guest)

    def devices(self) -> Iterator[tuple[str, str]]:
        if self.options.kvm_resource is not None:
            yield self.options.kvm_resource, "1"
        if any(card.backend in _TUN_BACKENDS for card in self.guest.peripherals.interfaces):
            yield TUN_RESOURCE, "1"
        if self.guest.peripherals.has_vsock:
            yield VSOCK_RESOURCE, "1"


def _pool(guest: Guest) -> int:
    return guest.io_threads.pool_count if guest.io_threads.policy is IOThreadsPolicy.SUPPLEMENTAL_POOL else 0


def _mebibytes(amount: Quantity | None) -> int | None:
    return None if amount is None else mebibytes_of(amount.ceil)


def _huge_pages(page_bytes: int, guest_bytes: int) -> tuple[str, str]:
    """Return the resource of the guest's pages, such as ("hugepages-2Mi", "4Gi")."""
    size, amount = (Quantity.of_units(number, binary=True) for number in (page_bytes, guest_bytes))
    return f"hugepages-{size}", str(amount)


def _sum_in_words(*, own: int, more: int, items: tuple[Item, ...], huge: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for name, amount in huge:
        yield f"{name}: {amount}, the guest's memory"
    yield f"memory: {own + more + total_mebibytes(items)}Mi ="
    addends = (
        Item(what="the guest's memory", mebibytes=own),
        Item(what="what the manifest asks for beyond the guest's", mebibytes=more),
        *items,
    )
    yield from (f"{item.mebibytes:>8}Mi  {item.what}" for item in addends if item.mebibytes)
