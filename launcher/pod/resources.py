"""What a launcher's containers request of Kubernetes, and the sum behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from launcher.planner.demand import cpu_demand
from launcher.pod.extended import whole_resources
from launcher.pod.options import PodOptions
from launcher.pod.overhead import Item, mebibytes_of, memory_overhead, total_mebibytes
from launcher.pod.scratch import scratch_of
from launcher.quantity import Quantity
from launcher.vmi.guest import Guest, IOThreadsPolicy
from launcher.vmi.guest_machine import InterfaceBackend
from launcher.vmi.manifest import Value
from launcher.vmi.schema import ResourceRequirements, VirtualMachineInstance
from launcher.vmi.size import given

# KubeVirt's resources of /dev/net/tun and /dev/vhost-vsock.
TUN_RESOURCE = "devices.kubevirt.io/tun"
VSOCK_RESOURCE = "devices.kubevirt.io/vhost-vsock"
# KubeVirt's resource of the socket of the node's qemu-pr-helper.
RESERVATION_RESOURCE = "devices.kubevirt.io/pr-helper"
_TUN_BACKENDS = (InterfaceBackend.BRIDGE, InterfaceBackend.TAP)


class Resources(Struct, frozen=True, kw_only=True):
    """A container's requests and limits by resource, as Kubernetes writes them, and how they came about in words."""

    requests: tuple[tuple[str, str], ...]
    limits: tuple[tuple[str, str], ...]
    reasons: tuple[str, ...] = ()
    # Claims of Dynamic Resource Allocation, and the request of each that the container gets.
    claims: tuple[tuple[str, str], ...] = ()
    # Those of which the request is the limit.
    whole: tuple[tuple[str, str], ...] = ()

    @property
    def value(self) -> dict[str, Value]:
        """The container's `resources`."""
        claims: list[Value] = [{"name": claim, "request": request} for claim, request in self.claims]
        return {"requests": dict(self.requests), "limits": dict(self.limits), **({"claims": claims} if claims else {})}


def helper_resources(cpu: str, memory: str) -> Resources:
    """Return what a container beside the launcher has: requests equal to limits, so that the pod stays Guaranteed."""
    amounts = (("cpu", cpu), ("memory", memory))
    return Resources(requests=amounts, limits=amounts)


def launcher_resources(
    vmi: VirtualMachineInstance, guest: Guest, options: PodOptions, attached: tuple[tuple[str, str], ...] = ()
) -> Resources:
    """Return what the launcher's container requests; `attached` is what the definitions of its networks ask for.

    With dedicated CPUs requests equal limits: whole CPUs for vCPUs, IOThread pool and isolated emulator, and memory for
    the guest and everything around it. Without, the manifest's own requests and limits are taken; a request that is
    not given is the limit, else a share of a CPU for each vCPU and the guest's memory.
    """
    sizing = _Sizing(vmi=vmi, guest=guest, options=options)
    cpu = sizing.exclusive_cpus() if guest.cpu.dedicated else sizing.shared_cpus()
    memory = sizing.memory()
    disk = sizing.disk()
    whole = whole_resources(vmi, (*memory.whole, *sizing.devices(), *attached))
    return Resources(
        requests=(*cpu.requests, *memory.requests, *disk.requests, *whole),
        limits=(*cpu.limits, *memory.limits, *disk.limits, *whole),
        reasons=(*cpu.reasons, *memory.reasons, *disk.reasons),
        claims=tuple(sizing.claims()),
    )


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
        beside = ""
        if self.options.shared_cpus and demand.emulator + demand.shared + demand.vhost:
            who = [*["the emulator"] * bool(demand.emulator), *["vCPUs that share"] * bool(demand.shared)]
            who += ["vhost's threads"] * bool(demand.vhost)
            runs = "runs" if who == ["the emulator"] else "run"
            beside = f"; {' and '.join(who)} {runs} on CPUs that the node shares"
            demand = replace(demand, emulator=0, shared=0, vhost=0)
        amount = (("cpu", str(demand.total)),)
        return Resources(requests=amount, limits=amount, reasons=(f"cpu: {demand.total} = {demand}{beside}",))

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
        beside_request = 0 if self.wished.overcommit_guest_overhead and not self.guest.cpu.dedicated else beside
        shown = items if beside_request else ()
        return Resources(
            requests=(("memory", f"{own + request + beside_request}Mi"),),
            limits=(("memory", f"{own + limit + beside}Mi"),) if limit is not None else (),
            reasons=tuple(_sum_in_words(own=own, more=request, items=shown, huge=huge)),
            whole=huge,
        )

    def disk(self) -> Resources:
        """Return the node's disk that the Pod asks for: what it needs itself, and what the manifest asks for."""
        scratch = scratch_of(self.guest, self.options)
        request, limit = (
            _mebibytes(given(amounts, "ephemeral-storage")) or 0
            for amounts in (self.wished.requests, self.wished.limits)
        )
        most = max(scratch.limit + limit, scratch.request + request)
        reasons = (
            f"ephemeral-storage: {scratch.request + request}Mi to begin with, {most}Mi at most =",
            *(f"{item.mebibytes:>8}Mi  {item.what}" for item in scratch.items),
            *((f"{most - scratch.limit:>8}Mi  what the manifest asks for",) if most > scratch.limit else ()),
        )
        return Resources(
            requests=(("ephemeral-storage", f"{scratch.request + request}Mi"),),
            limits=(("ephemeral-storage", f"{most}Mi"),),
            reasons=reasons,
        )

    def overhead(self) -> tuple[Item, ...]:
        return memory_overhead(self.guest, is_emulated=self.options.is_emulated)

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
        if any(disk.is_reserved for disk in self.guest.disks):
            yield RESERVATION_RESOURCE, "1"
        plugged = Counter(request.resource for request in self.guest.host_devices if request.resource)
        yield from ((resource, str(count)) for resource, count in sorted(plugged.items()))

    def claims(self) -> Iterator[tuple[str, str]]:
        """Yield the claim and the request of each device that comes by a claim (KubeVirt's WithGPUsDRA)."""
        claims = (request.claim for request in self.guest.host_devices)
        yield from ((claim.claim, claim.request) for claim in claims if claim is not None)


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
    beyond = "what the manifest asks for beyond the guest's"
    if more < 0:
        # Overcommitted on purpose: a request is no promise of all that the guest has.
        own, more, beyond = 0, own + more, f"what the manifest requests, of the guest's {own}Mi"
    addends = (
        Item(what="the guest's memory", mebibytes=own),
        Item(what=beyond, mebibytes=more),
        *items,
    )
    yield from (f"{item.mebibytes:>8}Mi  {item.what}" for item in addends if item.mebibytes)
