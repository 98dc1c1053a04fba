"""The disks of the golden guests that show every kind of disk and volume."""

from __future__ import annotations

from launcher.vmi.guest import Disk, DiskBus, DiskDevice
from launcher.vmi.guest_storage import (
    BlockSize,
    CacheMode,
    Claim,
    CloudInit,
    CloudInitKind,
    ContainerDisk,
    EmptyDisk,
    Ephemeral,
    ErrorPolicy,
    FolderKind,
    IOMode,
    MountedFolder,
)

VOLUMES = (
    Disk(name="claim", volume=Claim(claim="data"), queues=4, boot_order=1),
    Disk(name="layer", volume=Ephemeral(claim="golden"), queues=4),
    Disk(name="image", volume=ContainerDisk(image="fedora", index=2), queues=4),
    Disk(name="empty", bus=DiskBus.SCSI, volume=EmptyDisk(capacity_bytes=1 << 30)),
    Disk(name="cloudinit", volume=CloudInit(kind=CloudInitKind.NO_CLOUD, user_data=b"#!/bin/sh"), queues=4),
    Disk(
        name="config",
        bus=DiskBus.SATA,
        device=DiskDevice.CDROM,
        readonly=True,
        volume=MountedFolder(kind=FolderKind.CONFIG_MAP, object_name="settings"),
    ),
    Disk(name="lun", bus=DiskBus.SCSI, device=DiskDevice.LUN, volume=Claim(claim="raw", readonly=True), readonly=True),
)

SETTINGS = (
    Disk(
        name="virtio",
        path='/disks/a "b" <c> & d.img',
        serial="A_b.c+d-1",
        cache=CacheMode.WRITEBACK,
        io=IOMode.THREADS,
        error_policy=ErrorPolicy.REPORT,
        block_size=BlockSize(logical=4096, physical=4096),
    ),
    Disk(name="shared", path="/dev/shared", bus=DiskBus.SCSI, shareable=True, cache=CacheMode.NONE, io=IOMode.NATIVE),
    Disk(
        name="sata",
        path="/disks/sata.img",
        bus=DiskBus.SATA,
        serial="S" * 20,
        cache=CacheMode.WRITETHROUGH,
        error_policy=ErrorPolicy.ENOSPACE,
        block_size=BlockSize(logical=512, physical=4096),
    ),
    Disk(
        name="cd",
        path="/disks/cd.iso",
        bus=DiskBus.SCSI,
        device=DiskDevice.CDROM,
        readonly=True,
        error_policy=ErrorPolicy.IGNORE,
        serial="cd",
    ),
)
