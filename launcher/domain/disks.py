"""The domain's disks: their sources, targets, boot order and the IOThread that serves each."""

from __future__ import annotations

from pathlib import PurePosixPath

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add
from launcher.vmi.guest import Disk, DiskBus, DiskDevice

# Guest names by bus: virtio disks are vda, vdb, ...; SCSI and SATA share sda, sdb, ... as the guest's kernel does.
_PREFIXES = {DiskBus.VIRTIO: "vd", DiskBus.SCSI: "sd", DiskBus.SATA: "sd"}


def fill_disks(devices: Element, blueprint: Blueprint) -> None:
    """Write one disk element for each disk, in the manifest's order, and the SCSI controller that they need."""
    if any(disk.bus is DiskBus.SCSI for disk in blueprint.guest.disks):
        add(devices, "controller", type="scsi", index=0, model="virtio-scsi")
    counts = dict.fromkeys(_PREFIXES.values(), 0)
    for disk in blueprint.guest.disks:
        prefix = _PREFIXES[disk.bus]
        _add_disk(devices, disk, prefix + drive_letters(counts[prefix]), blueprint)
        counts[prefix] += 1


def drive_letters(index: int) -> str:
    """Return the letters of the disk with this index, counted as Linux does: a..z, aa, ab, ..."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return letters


def _add_disk(devices: Element, disk: Disk, target: str, blueprint: Blueprint) -> None:
    block = is_block_device(disk)
    element = add(devices, "disk", type="block" if block else "file", device=disk.device.value)
    _add_driver(element, disk, blueprint)
    add(element, "source", **{"dev" if block else "file": disk.path})
    add(element, "target", dev=target, bus=disk.bus.value)
    if disk.readonly or disk.device is DiskDevice.CDROM:
        add(element, "readonly")
    if disk.boot_order is not None:
        add(element, "boot", order=disk.boot_order)
    add(element, "alias", name=f"ua-{disk.name}")


def is_block_device(disk: Disk) -> bool:
    """Tell whether the disk's source is a block device by its place: below /dev, and a lun always."""
    return disk.device is DiskDevice.LUN or PurePosixPath("/dev") in PurePosixPath(disk.path).parents


def _add_driver(element: Element, disk: Disk, blueprint: Blueprint) -> None:
    driver = add(element, "driver", name="qemu", type=blueprint.image_format(disk.name).value)
    served_by = blueprint.iothreads.serving(disk.name)
    if len(served_by) == 1:
        driver.set("iothread", str(served_by[0]))
    elif served_by and blueprint.shares_iothreads:
        threads = add(driver, "iothreads")
        for iothread in served_by:
            add(threads, "iothread", id=iothread)
    elif served_by:
        driver.set("iothread", str(served_by[_position_among_pooled(disk, blueprint) % len(served_by)]))


def _position_among_pooled(disk: Disk, blueprint: Blueprint) -> int:
    pooled = [other.name for other in blueprint.guest.disks if len(blueprint.iothreads.serving(other.name)) > 1]
    return pooled.index(disk.name)
