"""What kind of device a disk is, and on which bus, where the manifest leaves it open."""

from __future__ import annotations

from launcher.vmi.guest import DiskBus, DiskDevice
from launcher.vmi.schema_storage import CDRomTarget, Disk, DiskTarget, LunTarget


def target_of(disk: Disk) -> DiskTarget | CDRomTarget | LunTarget:
    """Return the target that is set; a disk where none is."""
    return disk.cdrom or disk.lun or disk.disk or DiskTarget()


def device_of(disk: Disk) -> DiskDevice:
    """Return which of disk, cdrom and lun this is."""
    match target_of(disk):
        case CDRomTarget():
            return DiskDevice.CDROM
        case LunTarget():
            return DiskDevice.LUN
        case _:
            return DiskDevice.DISK


def bus_of(disk: Disk, arch: str) -> DiskBus:
    """Return the bus of this disk, KubeVirt's default where none is set: sata, on arm64 virtio (scsi for a CD-ROM).

    Source: KubeVirt's pkg/defaults/amd64.go and arm64.go; there a CD-ROM on arm64 would be virtio, which its own
    admission refuses.
    """
    target = target_of(disk)
    if target.bus is not None:
        return target.bus
    if isinstance(target, LunTarget):
        return DiskBus.SCSI
    if arch != "aarch64":
        return DiskBus.SATA
    return DiskBus.SCSI if isinstance(target, CDRomTarget) else DiskBus.VIRTIO
