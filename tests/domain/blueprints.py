"""The guests whose domain XML is kept as golden files: each shows something that no other does."""

from __future__ import annotations

from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.domain.blueprint import Blueprint
from launcher.domain.parts import ConsolePaths, VirtType
from launcher.planner.iothreads import lay_out_iothreads
from launcher.planner.model import Cell, IOThreadPin, Pinning, SharedPin, VCPUPin
from launcher.storage.layout import KUBEVIRT_MOUNTS, expected_images
from launcher.vmi.guest import (
    Disk,
    DiskBus,
    DiskDevice,
    Firmware,
    Guest,
    GuestCPU,
    GuestMemory,
    IOThreadDemand,
    IOThreadsPolicy,
    KernelBoot,
    SerialConsole,
    Topology,
)
from launcher.vmi.guest_machine import TPM, Peripherals, Tablet, Video, VideoModel
from tests.domain import machine_guests as machines
from tests.domain.storage_guests import SETTINGS, VOLUMES

MIB, GIB = 1 << 20, 1 << 30
CONSOLE = ConsolePaths(
    socket="/run/launcher/serial0-qemu.sock", door="/run/launcher/serial0.sock", log="/run/launcher/serial0.log"
)


def _cpus(text: str) -> CPUSet:
    return CPUSet.parse(text)


def _pinning(vcpu_cpus: str, emulator: str, cpuset: str, *, iothreads: tuple[str, ...] = ()) -> Pinning:
    pins = enumerate(int(cpu) for cpu in vcpu_cpus.split(",") if cpu)
    return Pinning(
        cpuset=_cpus(cpuset),
        source="test",
        vcpus=tuple(VCPUPin(vcpu=vcpu, cpu=cpu, core=cpu, socket=0, node=0) for vcpu, cpu in pins),
        emulator=_cpus(emulator),
        iothreads=tuple(IOThreadPin(iothread=number + 1, cpus=_cpus(cpus)) for number, cpus in enumerate(iothreads)),
    )


def _guest(topology: Topology, *, memory_bytes: int = 256 * MIB, dedicated: bool = True) -> Guest:
    return Guest(
        name="demo",
        namespace="tests",
        uuid="6a1a24a1-4061-4607-8bf4-a3963d0c5895",
        cpu=GuestCPU(topology=topology, dedicated=dedicated),
        memory=GuestMemory(guest_bytes=memory_bytes),
    )


def _blueprint(
    guest: Guest, pinning: Pinning, *, virt_type: VirtType = VirtType.KVM, arch: str = "x86_64"
) -> Blueprint:
    return Blueprint(
        guest=guest,
        pinning=pinning,
        iothreads=lay_out_iothreads(guest),
        virt_type=virt_type,
        arch=arch,
        console=CONSOLE,
        images=expected_images(guest, KUBEVIRT_MOUNTS, "/run/launcher"),
    )


def smallest() -> Blueprint:
    guest = replace(_guest(Topology(), dedicated=False), uuid=None)
    return _blueprint(guest, _pinning("", "0-3", "0-3"))


def pinned_kernel_boot() -> Blueprint:
    boot = KernelBoot(kernel="/boot/vmlinuz", initrd="/boot/initrd", arguments='console=ttyS0 quiet a="<&>"')
    guest = replace(_guest(Topology(cores=2)), kernel_boot=boot)
    return _blueprint(guest, _pinning("4,5", "4-5", "4-5"), virt_type=VirtType.QEMU)


def isolated_iothreads() -> Blueprint:
    guest = _guest(Topology(cores=2, threads=2))
    disks = (
        Disk(name="root", path="/disks/root.qcow2", boot_order=1),
        Disk(name="data", path="/dev/data", dedicated_iothread=True),
        Disk(name="scratch", path="/disks/scratch.img", readonly=True),
        Disk(name="cd", path="/disks/cd.iso", bus=DiskBus.SATA, device=DiskDevice.CDROM, readonly=True, boot_order=2),
        Disk(name="lun", path="/dev/lun", bus=DiskBus.SCSI, device=DiskDevice.LUN),
    )
    guest = replace(
        guest,
        cpu=replace(guest.cpu, isolate_emulator_thread=True, model="host-passthrough"),
        io_threads=IOThreadDemand(policy=IOThreadsPolicy.AUTO, cpu_count=4),
        disks=disks,
        machine="pc-q35-7.2",
    )
    return _blueprint(guest, _pinning("2,10,3,11", "4", "2-4,10-11", iothreads=("4", "4")))


def pool_round_robin() -> Blueprint:
    guest = replace(
        _guest(Topology(cores=2)),
        io_threads=IOThreadDemand(policy=IOThreadsPolicy.SUPPLEMENTAL_POOL, pool_count=2),
        disks=tuple(Disk(name=f"d{number}", path=f"/disks/d{number}.img") for number in range(3)),
        serial=SerialConsole(attached=False),
    )
    return _blueprint(guest, _pinning("1,2", "1-2", "1-4", iothreads=("3", "4")))


def pool_shared() -> Blueprint:
    return replace(pool_round_robin(), shares_iothreads=True)


def numa_realtime() -> Blueprint:
    guest = _guest(Topology(sockets=2, cores=2), memory_bytes=2 * GIB)
    guest = replace(
        guest,
        cpu=replace(
            guest.cpu,
            numa_passthrough=True,
            isolate_emulator_thread=True,
            realtime_vcpus=frozenset({1, 3}),
            model="Haswell",
        ),
        memory=replace(guest.memory, huge_page_bytes=2 * MIB),
    )
    cells = (
        Cell(cell=0, node=0, vcpus=_cpus("0-1"), memory_bytes=GIB, distances=((0, 10), (1, 21))),
        Cell(cell=1, node=1, vcpus=_cpus("2-3"), memory_bytes=GIB, distances=((0, 21), (1, 10))),
    )
    return _blueprint(guest, replace(_pinning("2,3,12,13", "4", "2-4,12-13"), cells=cells))


def mixed() -> Blueprint:
    guest = _guest(Topology(cores=4), memory_bytes=GIB)
    guest = replace(guest, cpu=replace(guest.cpu, shared_vcpus=frozenset({2, 3}), shared_cpus=1))
    shared = tuple(SharedPin(vcpu=vcpu, cpus=_cpus("4-5")) for vcpu in (2, 3))
    return replace(_blueprint(guest, replace(_pinning("2,3", "4-5", "2-5"), shared=shared)), virt_type=VirtType.KVM)


def numa_plain_pages() -> Blueprint:
    guest = _guest(Topology(sockets=2), memory_bytes=2 * GIB)
    guest = replace(guest, cpu=replace(guest.cpu, numa_passthrough=True))
    cells = (
        Cell(cell=0, node=0, vcpus=_cpus("0"), memory_bytes=GIB),
        Cell(cell=1, node=1, vcpus=_cpus("1"), memory_bytes=GIB),
    )
    return _blueprint(guest, replace(_pinning("2,12", "4", "2,4,12"), cells=cells))


def arm() -> Blueprint:
    guest = replace(
        _guest(Topology(cores=2)),
        arch="aarch64",
        firmware=Firmware.EFI,
        peripherals=Peripherals(
            interfaces=machines.NETWORKS[:1],
            tpm=TPM(),
            video=Video(model=VideoModel.VIRTIO),
            tablets=(Tablet(),),
            has_keyboard=True,
        ),
    )
    return _blueprint(guest, _pinning("4,5", "4-5", "4-5"), arch="aarch64")


def windows() -> Blueprint:
    guest = _guest(Topology(cores=2))
    guest = replace(
        guest,
        cpu=replace(guest.cpu, model="host-passthrough"),
        firmware=Firmware.EFI,
        board=machines.WINDOWS_BOARD,
        peripherals=machines.WINDOWS_PERIPHERALS,
    )
    return _blueprint(guest, _pinning("2,3", "2-3", "2-3"))


def devices() -> Blueprint:
    guest = _guest(Topology(), dedicated=False)
    guest = replace(
        guest,
        cpu=replace(guest.cpu, model="Haswell", features=machines.DEVICES_CPU),
        board=machines.DEVICES_BOARD,
        peripherals=machines.DEVICES_PERIPHERALS,
    )
    return _blueprint(guest, _pinning("", "0-3", "0-3"))


def networks() -> Blueprint:
    guest = replace(_guest(Topology(cores=4)), peripherals=Peripherals(interfaces=machines.NETWORKS))
    return _blueprint(guest, _pinning("0,1,2,3", "0-3", "0-3"))


def passt() -> Blueprint:
    guest = replace(_guest(Topology()), firmware=Firmware.EFI, peripherals=Peripherals(interfaces=machines.PASST))
    return _blueprint(guest, _pinning("0", "0", "0"))


def volumes() -> Blueprint:
    return _blueprint(replace(_guest(Topology(cores=4)), disks=VOLUMES), _pinning("1,2,3,4", "1-4", "1-4"))


def disk_settings() -> Blueprint:
    return _blueprint(replace(_guest(Topology()), disks=SETTINGS), _pinning("1", "1", "1"))


def host_devices() -> Blueprint:
    """Two root complexes on one node and one on another, each in its cell; a virtual GPU, and a stick on USB."""
    return _with_host_devices(numa_realtime())


def host_devices_without_cells() -> Blueprint:
    return _with_host_devices(_blueprint(_guest(Topology()), _pinning("1", "1", "1")))


def _with_host_devices(blueprint: Blueprint) -> Blueprint:
    requests = tuple(device.request for device in machines.HOST_DEVICES)
    guest = replace(blueprint.guest, host_devices=requests, peripherals=Peripherals(video=Video(model=VideoModel.VGA)))
    return replace(blueprint, guest=guest, devices=machines.HOST_DEVICES)


BLUEPRINTS = {
    "smallest": smallest,
    "pinned-kernel-boot": pinned_kernel_boot,
    "isolated-iothreads": isolated_iothreads,
    "pool-round-robin": pool_round_robin,
    "pool-shared": pool_shared,
    "numa-realtime": numa_realtime,
    "numa-plain-pages": numa_plain_pages,
    "mixed": mixed,
    "aarch64": arm,
    "windows": windows,
    "devices": devices,
    "networks": networks,
    "passt": passt,
    "volumes": volumes,
    "disk-settings": disk_settings,
    "host-devices": host_devices,
    "host-devices-without-cells": host_devices_without_cells,
}
