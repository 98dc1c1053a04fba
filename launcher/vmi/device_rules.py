"""The admission rules of disks, volumes and the serial console.

Source: KubeVirt's admission webhook, pkg/storage/admitters/disks.go and vmi-create-admitter.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Fault
from launcher.quantity import Quantity
from launcher.vmi.disks import bus_of, device_of
from launcher.vmi.fieldpath import item, show
from launcher.vmi.guest import DiskBus, DiskDevice
from launcher.vmi.rules import Rule, Subject, faults_at, label_fault, path_fault, repeated
from launcher.vmi.schema import Disk, HostDisk

DISKS = "spec.domain.devices.disks"
VOLUMES = "spec.volumes"
_CONSOLE = "spec.domain.devices"
_MAX_IMAGE = Quantity.of_units(1 << 60, binary=True)


def _names(subject: Subject) -> Iterator[Fault]:
    spec = subject.vmi.spec
    for where, named in ((DISKS, spec.domain.devices.disks), (VOLUMES, spec.volumes)):
        names = [one.name for one in named]
        for index, name in enumerate(names):
            yield from faults_at(f"{item(where, index)}.name", label_fault(name))
        for index, first in repeated(names):
            yield Fault(f"{item(where, index)}.name", f"{show(names[index])} is the name of {item(where, first)}, too")


def _pairs(subject: Subject) -> Iterator[Fault]:
    spec = subject.vmi.spec
    disks, volumes = spec.domain.devices.disks, spec.volumes
    volume_names, disk_names = {volume.name for volume in volumes}, {disk.name for disk in disks}
    for index, disk in enumerate(disks):
        if disk.name not in volume_names:
            yield Fault(f"{item(DISKS, index)}.name", f"no volume is called {show(disk.name)} ({VOLUMES})")
    for index, volume in enumerate(volumes):
        if volume.name not in disk_names:
            yield Fault(f"{item(VOLUMES, index)}.name", f"no disk is called {show(volume.name)} ({DISKS})")


def _targets(subject: Subject) -> Iterator[Fault]:
    for index, disk in enumerate(subject.vmi.spec.domain.devices.disks):
        yield from _target(subject, disk, item(DISKS, index))


def _target(subject: Subject, disk: Disk, path: str) -> Iterator[Fault]:
    given = [name for name in DiskDevice if getattr(disk, name) is not None]
    if len(given) > 1:
        yield Fault(path, f"is {' and '.join(given)} at once; wanted one of them")
        return
    device, bus = device_of(disk), bus_of(disk, subject.arch)
    where = f"{path}.{device}.bus"
    if bus is DiskBus.SATA and subject.arch == "aarch64":
        yield Fault(where, "arm64 guests have no sata; wanted virtio or scsi")
    if device is DiskDevice.CDROM and bus is DiskBus.VIRTIO:
        yield Fault(where, "a CD-ROM cannot be virtio; wanted sata or scsi")
    if device is DiskDevice.LUN and bus is not DiskBus.SCSI:
        yield Fault(where, f"a lun cannot be {bus}; wanted scsi")
    if bus is DiskBus.SATA and disk.disk is not None and disk.disk.readonly:
        yield Fault(
            f"{path}.disk.readonly", "a sata disk cannot be read-only; wanted the bus virtio or scsi, or a cdrom"
        )
    if disk.dedicated_iothread and bus is not DiskBus.VIRTIO:
        yield Fault(f"{path}.dedicatedIOThread", f"only a virtio disk has an IOThread; this one is {bus}")


def _luns(subject: Subject) -> Iterator[Fault]:
    spec = subject.vmi.spec
    files = {volume.name for volume in spec.volumes if volume.host_disk is not None}
    for index, disk in enumerate(spec.domain.devices.disks):
        if disk.lun is not None and disk.name in files:
            yield Fault(f"{item(DISKS, index)}.lun", "a hostDisk is a file; a lun needs a block device")


def _boot_orders(subject: Subject) -> Iterator[Fault]:
    orders = [disk.boot_order for disk in subject.vmi.spec.domain.devices.disks]
    for index, first in repeated(orders):
        yield Fault(
            f"{item(DISKS, index)}.bootOrder", f"{orders[index]} is the boot order of {item(DISKS, first)}, too"
        )


def _sources(subject: Subject) -> Iterator[Fault]:
    for index, volume in enumerate(subject.vmi.spec.volumes):
        path = item(VOLUMES, index)
        if volume.host_disk is None:
            yield Fault(path, "has no source; wanted hostDisk")
        else:
            yield from _host_disk(volume.host_disk, f"{path}.hostDisk")


def _host_disk(disk: HostDisk, path: str) -> Iterator[Fault]:
    yield from faults_at(f"{path}.path", path_fault(disk.path))
    if disk.type == "Disk" and disk.capacity:
        yield Fault(f"{path}.capacity", "has no effect on a disk that exists; wanted type DiskOrCreate")
    elif disk.type == "DiskOrCreate" and disk.capacity is None:
        yield Fault(f"{path}.capacity", "missing; type DiskOrCreate needs it")
    elif disk.type == "DiskOrCreate" and disk.capacity is not None and not Quantity() < disk.capacity <= _MAX_IMAGE:
        yield Fault(f"{path}.capacity", f"{disk.capacity} is not a size from 1 to {_MAX_IMAGE}")


def _console(subject: Subject) -> Iterator[Fault]:
    devices = subject.vmi.spec.domain.devices
    if devices.log_serial_console and not devices.autoattach_serial_console:
        yield Fault(f"{_CONSOLE}.logSerialConsole", f"needs {_CONSOLE}.autoattachSerialConsole: true")


DEVICE_RULES = (
    Rule(reads=(f"{DISKS}[].name", f"{VOLUMES}[].name"), check=_names),
    Rule(reads=(f"{DISKS}[].name", f"{VOLUMES}[].name"), check=_pairs),
    Rule(
        reads=(
            *(f"{DISKS}[].{field}" for field in ("disk", "cdrom", "lun", "dedicatedIOThread")),
            "spec.architecture",
        ),
        check=_targets,
    ),
    Rule(reads=(f"{DISKS}[].lun", f"{DISKS}[].name", VOLUMES), check=_luns),
    Rule(reads=(f"{DISKS}[].bootOrder",), check=_boot_orders),
    Rule(reads=(VOLUMES,), check=_sources),
    Rule(reads=(f"{_CONSOLE}.logSerialConsole", f"{_CONSOLE}.autoattachSerialConsole"), check=_console),
)
