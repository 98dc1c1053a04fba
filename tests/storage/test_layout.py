"""Where images are expected, of guests whose files nobody has looked at."""

from __future__ import annotations

from msgspec.structs import replace

from launcher.storage.layout import KUBEVIRT_MOUNTS, absolute_paths, expected_images
from launcher.storage.model import BackingImage, DiskImage
from launcher.vmi.guest import Disk, DiskBus, DiskDevice, ImageFormat, KernelBoot
from launcher.vmi.guest_storage import (
    CacheMode,
    Claim,
    CloudInit,
    CloudInitKind,
    ContainerDisk,
    EmptyDisk,
    Ephemeral,
    FolderKind,
    IOMode,
    MountedFolder,
)
from tests.storage.guests import GUEST, guest_with

QCOW2 = ImageFormat.QCOW2
PRIVATE = "/var/run/kubevirt-private"
MADE = "/root/storage/default_g"


def test_relative_names_are_taken_from_the_folder_and_absolute_ones_left() -> None:
    claim = Disk(name="c", volume=Claim(claim="data"))
    guest = replace(
        GUEST,
        kernel_boot=KernelBoot(kernel="boot/vmlinuz", initrd="/abs/initrd"),
        disks=(Disk(name="a", path="a.img"), Disk(name="b", path="/b.img"), claim),
    )
    found = absolute_paths(guest, "/here")
    assert found.kernel_boot == KernelBoot(kernel="/here/boot/vmlinuz", initrd="/abs/initrd")
    assert found.disks == (Disk(name="a", path="/here/a.img"), Disk(name="b", path="/b.img"), claim)


def test_images_are_expected_where_kubevirt_mounts_them() -> None:
    guest = guest_with(
        Disk(name="host", path="/x.qcow2", cache=CacheMode.WRITEBACK),
        Disk(name="device", path="/dev/sdx", io=IOMode.NATIVE),
        Disk(name="claim", volume=Claim(claim="data")),
        Disk(name="lun", device=DiskDevice.LUN, bus=DiskBus.SCSI, volume=Claim(claim="data")),
        Disk(name="layer", volume=Ephemeral(claim="data")),
        Disk(name="image", volume=ContainerDisk(image="fedora", index=5)),
        Disk(name="empty", volume=EmptyDisk(capacity_bytes=1)),
        Disk(name="cloud", volume=CloudInit(kind=CloudInitKind.NO_CLOUD)),
        Disk(name="config", volume=MountedFolder(kind=FolderKind.CONFIG_MAP)),
    )
    claim = f"{PRIVATE}/vmi-disks/layer/disk.img"
    container_disk = "/var/run/kubevirt/container-disks/disk_5.img"
    assert expected_images(guest, KUBEVIRT_MOUNTS, "/root") == (
        DiskImage(disk="host", path="/x.qcow2", format=QCOW2, cache=CacheMode.WRITEBACK),
        DiskImage(disk="device", path="/dev/sdx", is_block=True, io=IOMode.NATIVE),
        DiskImage(disk="claim", path=f"{PRIVATE}/vmi-disks/claim/disk.img"),
        DiskImage(disk="lun", path="/dev/lun", is_block=True),
        DiskImage(
            disk="layer",
            path=f"{MADE}/layer.qcow2",
            format=QCOW2,
            backing=BackingImage(path=claim, format=ImageFormat.RAW),
        ),
        DiskImage(
            disk="image",
            path=f"{MADE}/image.qcow2",
            format=QCOW2,
            backing=BackingImage(path=container_disk, format=QCOW2),
        ),
        DiskImage(disk="empty", path=f"{MADE}/empty.qcow2", format=QCOW2),
        DiskImage(disk="cloud", path=f"{MADE}/cloud.iso"),
        DiskImage(disk="config", path=f"{MADE}/config.iso"),
    )
