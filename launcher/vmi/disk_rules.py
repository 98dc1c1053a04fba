"""The admission rules of disks: names that match the volumes', devices that QEMU has, and what their volumes allow.

Source: KubeVirt's admission webhook, pkg/storage/admitters/disks.go and vmi-create-admitter.go; where QEMU or libvirt
would refuse or drop something that KubeVirt lets pass, it is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath

from launcher.errors import Fault
from launcher.vmi.disks import bus_of, device_of
from launcher.vmi.fieldpath import item, show
from launcher.vmi.guest import CUT_SERIALS, LONGEST_SERIALS, DiskBus, DiskDevice
from launcher.vmi.guest_storage import CacheMode, IOMode
from launcher.vmi.rules import Rule, Subject, list_name_faults
from launcher.vmi.schema_storage import CustomBlockSize, Disk, Volume
from launcher.vmi.volume_rules import VOLUMES, sources_of

DISKS = "spec.domain.devices.disks"
_SERIAL = re.compile(r"[A-Za-z0-9_.+-]+", re.ASCII)
# KubeVirt's maxStrLen.
_LONGEST_SERIAL = 256
# MIN_BLOCK_SIZE and MAX_BLOCK_SIZE of QEMU's hw/core/qdev-prop-internal.h.
_BLOCK_SIZES = range(512, (1 << 21) + 1)
# Volumes whose image can be handed to several guests: raw, and not made by the launcher for this one.
_SHAREABLE = ("hostDisk", "persistentVolumeClaim", "dataVolume")


def _names(subject: Subject) -> Iterator[Fault]:
    spec = subject.vmi.spec
    for where, named in ((DISKS, spec.domain.devices.disks), (VOLUMES, spec.volumes)):
        yield from list_name_faults(where, [one.name for one in named])


def _pairs(subject: Subject) -> Iterator[Fault]:
    spec = subject.vmi.spec
    disks, volumes = spec.domain.devices.disks, spec.volumes
    volume_names = {volume.name for volume in volumes}
    for index, disk in enumerate(disks):
        # A drive may stand empty; KubeVirt fills it while the guest runs.
        if disk.name not in volume_names and disk.cdrom is None:
            yield Fault(f"{item(DISKS, index)}.name", f"no volume is called {show(disk.name)} ({VOLUMES})")


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


def _serial(subject: Subject, disk: Disk, path: str) -> Iterator[Fault]:
    if not disk.serial:
        return
    bus = bus_of(disk, subject.arch)
    if not _SERIAL.fullmatch(disk.serial):
        yield Fault(f"{path}.serial", f"{show(disk.serial)} is not made of letters, digits and _.+-")
    elif disk.lun is not None:
        yield Fault(f"{path}.serial", "a lun has the serial of its own device; leave it out")
    elif len(disk.serial) > (most := _LONGEST_SERIAL if bus in CUT_SERIALS else LONGEST_SERIALS[bus]):
        yield Fault(f"{path}.serial", f"{show(disk.serial)} is longer than {most} characters, the most of a {bus} disk")


def _io(_subject: Subject, disk: Disk, path: str) -> Iterator[Fault]:
    if disk.io is IOMode.NATIVE and disk.cache not in (None, CacheMode.NONE):
        yield Fault(f"{path}.io", f"native needs the cache none; it is {disk.cache}")


def _block_size(subject: Subject, disk: Disk, path: str) -> Iterator[Fault]:
    size = disk.block_size
    matched = size is not None and size.match_volume is not None and size.match_volume.enabled
    if size is None or (size.custom is None and not matched):
        return
    device, bus = device_of(disk), bus_of(disk, subject.arch)
    if device is not DiskDevice.DISK:
        yield Fault(f"{path}.blockSize", f"a {device} has the block size of its kind; only a disk can have another")
    elif size.custom is not None and matched:
        yield Fault(f"{path}.blockSize", "has custom and matchVolume; wanted one of them")
    elif size.custom is not None:
        yield from _custom_block_size(size.custom, bus, f"{path}.blockSize.custom")


def _custom_block_size(size: CustomBlockSize, bus: DiskBus, path: str) -> Iterator[Fault]:
    for name, amount in (("logical", size.logical), ("physical", size.physical)):
        if amount not in _BLOCK_SIZES or amount.bit_count() != 1:
            yield Fault(f"{path}.{name}", f"{amount} is not a power of two from 512 to 2097152")
    if size.logical > size.physical:
        yield Fault(f"{path}.logical", f"{size.logical} is more than {path}.physical, {size.physical}")
    if size.discard_granularity and size.logical and size.discard_granularity % size.logical:
        found = f"{size.discard_granularity} is not a multiple of {path}.logical, {size.logical}"
        yield Fault(f"{path}.discardGranularity", found)
    if bus is DiskBus.SATA and size.logical != 512:
        yield Fault(f"{path}.logical", f"{size.logical} is not 512, which a sata disk always has")


def _lun_volume(_subject: Subject, disk: Disk, volume: Volume, path: str) -> Iterator[Fault]:
    for source in sources_of(volume):
        if disk.lun is not None and source not in ("persistentVolumeClaim", "dataVolume"):
            yield Fault(f"{path}.lun", f"its volume, {source}, is a file; a lun needs a block device")


def _readonly_claim(subject: Subject, disk: Disk, volume: Volume, path: str) -> Iterator[Fault]:
    claim = volume.persistent_volume_claim
    if claim is None or not claim.read_only or device_of(disk) is not DiskDevice.DISK:
        return
    if bus_of(disk, subject.arch) is DiskBus.SATA:
        yield Fault(path, "the claim is readOnly, and a sata disk cannot be; wanted the bus virtio or scsi, or a cdrom")


def _shareable(_subject: Subject, disk: Disk, volume: Volume, path: str) -> Iterator[Fault]:
    if not disk.shareable:
        return
    if disk.cdrom is not None:
        yield Fault(f"{path}.shareable", "a CD-ROM is only read, and may be shared without; leave it out")
    if disk.cache not in (None, CacheMode.NONE):
        yield Fault(f"{path}.cache", f"a shareable disk needs the cache none; it is {disk.cache}")
    for source in sources_of(volume):
        if source not in _SHAREABLE:
            yield Fault(f"{path}.shareable", f"its volume, {source}, is this guest's own")
    if volume.host_disk is not None and PurePosixPath(volume.host_disk.path).suffix == ".qcow2":
        yield Fault(f"{path}.shareable", "a qcow2 image has one writer; wanted a raw image")


def _of_each(*fields: str, check: Callable[[Subject, Disk, str], Iterable[Fault]]) -> Rule:
    """Build the rule that checks every disk; it reads these fields of it."""

    def check_all(subject: Subject) -> Iterator[Fault]:
        for index, disk in enumerate(subject.vmi.spec.domain.devices.disks):
            yield from check(subject, disk, item(DISKS, index))

    reads = (*(f"{DISKS}[].{field}" for field in fields), "spec.architecture")
    return Rule(reads=reads, check=check_all)


def _of_each_pair(*fields: str, check: Callable[[Subject, Disk, Volume, str], Iterable[Fault]]) -> Rule:
    """Build the rule that checks every disk together with its volume."""

    def check_all(subject: Subject) -> Iterator[Fault]:
        volumes = {volume.name: volume for volume in subject.vmi.spec.volumes}
        for index, disk in enumerate(subject.vmi.spec.domain.devices.disks):
            if disk.name in volumes:
                yield from check(subject, disk, volumes[disk.name], item(DISKS, index))

    reads = (*(f"{DISKS}[].{field}" for field in ("name", *fields)), VOLUMES, "spec.architecture")
    return Rule(reads=reads, check=check_all)


_TARGETS = ("disk", "cdrom", "lun")
DISK_RULES = (
    Rule(reads=(f"{DISKS}[].name", f"{VOLUMES}[].name"), check=_names),
    Rule(reads=(f"{DISKS}[].name", f"{VOLUMES}[].name"), check=_pairs),
    _of_each(*_TARGETS, "dedicatedIOThread", check=_target),
    _of_each(*_TARGETS, "serial", check=_serial),
    _of_each("io", "cache", check=_io),
    _of_each(*_TARGETS, "blockSize", check=_block_size),
    _of_each_pair("lun", check=_lun_volume),
    _of_each_pair(*_TARGETS, check=_readonly_claim),
    _of_each_pair("cdrom", "cache", "shareable", check=_shareable),
)
