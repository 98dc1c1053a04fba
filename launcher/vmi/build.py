"""Builds the Guest of an admitted manifest, with the defaults filled in that KubeVirt has."""

from __future__ import annotations

from launcher.quantity import Quantity
from launcher.vmi.build_machine import board_of, cpu_features_of, firmware_of, peripherals_of
from launcher.vmi.build_storage import disks_of
from launcher.vmi.guest import (
    Guest,
    GuestCPU,
    GuestMemory,
    IOThreadDemand,
    KernelBoot,
    SerialConsole,
    Topology,
)
from launcher.vmi.realtime import parse_mask
from launcher.vmi.schema import DomainSpec, VirtualMachineInstance
from launcher.vmi.schema import KernelBoot as KernelBootSpec
from launcher.vmi.size import memory_of, requested_cpus, topology_of

PARITY_ANNOTATION = "alpha.kubevirt.io/EmulatorThreadCompleteToEvenParity"


def guest_of(vmi: VirtualMachineInstance, *, arch: str) -> Guest:
    """Build the guest of a manifest in which admission found no fault; `arch` is the kernel's name, such as x86_64."""
    domain = vmi.spec.domain
    topology = topology_of(domain) or Topology()
    return Guest(
        name=vmi.metadata.name or "",
        namespace=vmi.metadata.namespace or "default",
        arch=arch,
        uuid=domain.firmware.uuid and domain.firmware.uuid.lower(),
        machine=domain.machine.type or None,
        firmware=firmware_of(domain, arch),
        board=board_of(domain),
        peripherals=peripherals_of(vmi, arch=arch, topology=topology),
        cpu=_cpu(domain, topology, has_parity=PARITY_ANNOTATION in vmi.metadata.annotations),
        memory=_memory(domain),
        io_threads=_io_threads(domain, topology),
        disks=disks_of(vmi, arch=arch, vcpus=topology.vcpus),
        kernel_boot=_kernel_boot(domain.firmware.kernel_boot),
        serial=_serial(domain),
        grace_period_s=vmi.spec.termination_grace_period_seconds,
    )


def _cpu(domain: DomainSpec, topology: Topology, *, has_parity: bool) -> GuestCPU:
    cpu = domain.cpu
    return GuestCPU(
        topology=topology,
        model=cpu.model,
        features=cpu_features_of(domain),
        dedicated=cpu.dedicated_cpu_placement,
        isolate_emulator_thread=cpu.isolate_emulator_thread,
        emulator_even_parity=has_parity,
        numa_passthrough=cpu.numa is not None and cpu.numa.guest_mapping_passthrough is not None,
        realtime_vcpus=None if cpu.realtime is None else parse_mask(cpu.realtime.mask, topology.vcpus),
    )


def _memory(domain: DomainSpec) -> GuestMemory:
    size, pages = memory_of(domain), domain.memory.hugepages
    return GuestMemory(
        guest_bytes=0 if size is None else size.quantity.ceil,
        huge_page_bytes=_bytes(None if pages is None else pages.page_size),
    )


def _io_threads(domain: DomainSpec, topology: Topology) -> IOThreadDemand:
    return IOThreadDemand(
        policy=domain.io_threads_policy,
        pool_count=domain.io_threads.supplemental_pool_thread_count or 0,
        cpu_count=requested_cpus(domain.resources, topology.vcpus),
    )


def _bytes(amount: Quantity | None) -> int | None:
    return None if amount is None else amount.ceil


def _kernel_boot(boot: KernelBootSpec | None) -> KernelBoot | None:
    if boot is None or boot.container is None or boot.container.kernel_path is None:
        return None
    return KernelBoot(kernel=boot.container.kernel_path, initrd=boot.container.initrd_path, arguments=boot.kernel_args)


def _serial(domain: DomainSpec) -> SerialConsole:
    devices = domain.devices
    logged = devices.autoattach_serial_console if devices.log_serial_console is None else devices.log_serial_console
    return SerialConsole(attached=devices.autoattach_serial_console, logged=logged)
