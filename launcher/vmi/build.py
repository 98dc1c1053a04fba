"""Builds the Guest of an admitted manifest, with the defaults filled in that KubeVirt has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from launcher.quantity import Quantity
from launcher.vmi.build_access import agent_credentials_of, shared_folders_of
from launcher.vmi.build_devices import device_requests_of
from launcher.vmi.build_machine import board_of, cpu_features_of, firmware_of, peripherals_of
from launcher.vmi.build_storage import disks_of
from launcher.vmi.guest import (
    ACPITable,
    Guest,
    GuestCPU,
    GuestMemory,
    IOThreadDemand,
    IOThreadsPolicy,
    KernelBoot,
    SerialConsole,
    TableKind,
    Topology,
)
from launcher.vmi.identity import uuid_of
from launcher.vmi.mixed import shared_cpus_of, shared_vcpus_of
from launcher.vmi.probes import probe_of
from launcher.vmi.realtime import parse_mask
from launcher.vmi.schema import DomainSpec, ReservedOverhead, VirtualMachineInstance
from launcher.vmi.schema import KernelBoot as KernelBootSpec
from launcher.vmi.size import given, memory_of, requested_cpus, topology_of
from launcher.vmi.vhost_rules import vhost_cpus_of

_POOL = IOThreadsPolicy.SUPPLEMENTAL_POOL
PARITY_ANNOTATION = "alpha.kubevirt.io/EmulatorThreadCompleteToEvenParity"
IGNITION_ANNOTATION = "kubevirt.io/ignitiondata"
NO_WIDE_WINDOWS_ANNOTATION = "kubevirt.io/disablePCIHole64"


def guest_of(vmi: VirtualMachineInstance, *, arch: str) -> Guest:
    """Build the guest of a manifest in which admission found no fault; `arch` is the kernel's name, such as x86_64."""
    domain = vmi.spec.domain
    topology = topology_of(domain) or Topology()
    return Guest(
        name=vmi.metadata.name or "",
        namespace=vmi.metadata.namespace or "default",
        arch=arch,
        hostname=vmi.spec.hostname or None,
        uuid=_uuid(vmi),
        machine=domain.machine.type or None,
        firmware=firmware_of(domain, arch),
        board=board_of(domain, without_wide_windows=_is_true(vmi.metadata.annotations, NO_WIDE_WINDOWS_ANNOTATION)),
        peripherals=peripherals_of(vmi, arch=arch, topology=topology),
        cpu=_cpu(vmi, topology, arch),
        memory=_memory(domain),
        io_threads=_io_threads(domain),
        disks=disks_of(vmi, arch=arch, vcpus=topology.vcpus),
        host_devices=device_requests_of(vmi),
        shared_folders=shared_folders_of(vmi),
        credentials=agent_credentials_of(vmi),
        has_metrics_port=domain.devices.downward_metrics is not None,
        readiness=probe_of(vmi.spec.readiness_probe, domain.devices.interfaces),
        liveness=probe_of(vmi.spec.liveness_probe, domain.devices.interfaces),
        kernel_boot=_kernel_boot(domain.firmware.kernel_boot),
        ignition=vmi.metadata.annotations.get(IGNITION_ANNOTATION, ""),
        acpi_tables=tuple(_acpi_tables(vmi)),
        serial=_serial(domain),
        grace_period_s=vmi.spec.termination_grace_period_seconds,
        starts_paused=vmi.spec.start_strategy is not None,
    )


def _acpi_tables(vmi: VirtualMachineInstance) -> Iterator[ACPITable]:
    acpi = vmi.spec.domain.firmware.acpi
    if acpi is None:
        return
    secrets = {volume.name: volume.secret.secret_name for volume in vmi.spec.volumes if volume.secret is not None}
    for kind, volume in ((TableKind.SLIC, acpi.slic_name_ref), (TableKind.MSDM, acpi.msdm_name_ref)):
        if volume:
            yield ACPITable(kind=kind, volume=volume, object_name=secrets[volume])


def _uuid(vmi: VirtualMachineInstance) -> str | None:
    """Return the UUID that is given, else the one of the name; none where the API server is to make the name."""
    given, name = vmi.spec.domain.firmware.uuid, vmi.metadata.name
    return given.lower() if given else name and uuid_of(name)


def _is_true(annotations: Mapping[str, str], name: str) -> bool:
    """Tell whether an annotation says true, in whatever capitals, as KubeVirt reads it (strings.EqualFold)."""
    return annotations.get(name, "").lower() == "true"


def _cpu(vmi: VirtualMachineInstance, topology: Topology, arch: str) -> GuestCPU:
    domain, cpu = vmi.spec.domain, vmi.spec.domain.cpu
    shared = shared_vcpus_of(vmi, topology)
    return GuestCPU(
        topology=topology,
        shared_vcpus=shared,
        shared_cpus=shared_cpus_of(vmi, topology, shared),
        vhost_cpus=vhost_cpus_of(vmi),
        model=cpu.model,
        features=cpu_features_of(domain, arch),
        dedicated=cpu.dedicated_cpu_placement,
        isolate_emulator_thread=cpu.isolate_emulator_thread,
        emulator_even_parity=PARITY_ANNOTATION in vmi.metadata.annotations,
        max_sockets=cpu.max_sockets if cpu.max_sockets > topology.sockets else None,
        numa_passthrough=cpu.numa is not None and cpu.numa.guest_mapping_passthrough is not None,
        realtime_vcpus=None if cpu.realtime is None else parse_mask(cpu.realtime.mask, topology.vcpus),
    )


def _memory(domain: DomainSpec) -> GuestMemory:
    size, pages = memory_of(domain), domain.memory.hugepages
    reserved = domain.memory.reserved_overhead or ReservedOverhead()
    guest_bytes, max_guest = 0 if size is None else size.quantity.ceil, domain.memory.max_guest
    limit = None if domain.cpu.dedicated_cpu_placement else given(domain.resources.limits, "memory")
    return GuestMemory(
        guest_bytes=guest_bytes,
        max_guest_bytes=max_guest.ceil if max_guest is not None and max_guest.ceil > guest_bytes else None,
        huge_page_bytes=_bytes(None if pages is None else pages.page_size),
        # A Pod with dedicated CPUs has room for its guest all the same (launcher/pod/resources.py).
        lower_limit_bytes=limit.ceil if limit is not None and limit.ceil < guest_bytes else None,
        reserved_bytes=_bytes(reserved.added_overhead) or 0,
        is_lock_wanted=reserved.mem_lock == "Required",
    )


def _io_threads(domain: DomainSpec) -> IOThreadDemand:
    count, is_pool = domain.io_threads.supplemental_pool_thread_count, domain.io_threads_policy is _POOL
    return IOThreadDemand(
        policy=domain.io_threads_policy,
        pool_count=count or 0 if is_pool else 0,
        has_spare_count=count is not None and not is_pool,
        cpu_count=requested_cpus(domain.resources),
    )


def _bytes(amount: Quantity | None) -> int | None:
    return None if amount is None else amount.ceil


def _kernel_boot(boot: KernelBootSpec | None) -> KernelBoot | None:
    if boot is None or boot.container is None or boot.container.kernel_path is None:
        return None
    return KernelBoot(
        kernel=boot.container.kernel_path,
        image=boot.container.image or None,
        initrd=boot.container.initrd_path,
        arguments=boot.kernel_args,
    )


def _serial(domain: DomainSpec) -> SerialConsole:
    devices = domain.devices
    logged = devices.autoattach_serial_console if devices.log_serial_console is None else devices.log_serial_console
    return SerialConsole(attached=devices.autoattach_serial_console, logged=logged)
