"""Where volumes are mounted and where images are made, as paths; looks at no file."""

from __future__ import annotations

from posixpath import join
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from launcher.storage.model import BackingImage, DiskImage
from launcher.storage.names import IMAGES_FOLDER
from launcher.vmi.guest import Disk, DiskDevice, Guest, ImageFormat
from launcher.vmi.guest_storage import (
    CacheMode,
    Claim,
    CloudInit,
    ContainerDisk,
    EmptyDisk,
    Ephemeral,
    FolderKind,
    HostMetrics,
    MountedFolder,
)

# What virt-controller calls the image in a claim of volumeMode Filesystem.
CLAIM_IMAGE = "disk.img"
# Where Ignition's data is beside the images (KubeVirt's name).
IGNITION_FILE = "data.ign"


class Mounts(Struct, frozen=True, kw_only=True):
    """The folders in which the Pod's volumes are mounted, each volume below one of them under its own name.

    `container_disks` has files disk_<index>.img, `image_volumes` folders disk_<index> with the files of an image;
    `service_account` is the one ServiceAccount's folder itself, `kernel_boot` that of the kernel from an image.
    """

    claims: str
    devices: str
    container_disks: str
    image_volumes: str
    config_maps: str
    secrets: str
    downward_apis: str
    service_account: str
    sysprep: str
    kernel_boot: str

    def keys_of(self, secret: str) -> str:
        """Return the folder of a Secret with keys or passwords (KubeVirt's access credentials)."""
        return join(self.secrets, f"{secret}-access-cred")

    def folder_of(self, kind: FolderKind, volume: str) -> str:
        """Return the folder of the files of this volume."""
        match kind:
            case FolderKind.CONFIG_MAP:
                return join(self.config_maps, volume)
            case FolderKind.SECRET:
                return join(self.secrets, volume)
            case FolderKind.DOWNWARD_API:
                return join(self.downward_apis, volume)
            case FolderKind.SERVICE_ACCOUNT:
                return self.service_account
            case FolderKind.SYSPREP:
                return join(self.sysprep, volume)
            case _:
                assert_never(kind)


# Source: KubeVirt's pkg/config/config.go, pkg/storage/volumepath, pkg/container-disk and pkg/util/util.go.
KUBEVIRT_MOUNTS = Mounts(
    claims="/var/run/kubevirt-private/vmi-disks",
    devices="/dev",
    container_disks="/var/run/kubevirt/container-disks",
    image_volumes="/var/run/kubevirt-image-volume",
    config_maps="/var/run/kubevirt-private/config-map",
    secrets="/var/run/kubevirt-private/secret",
    downward_apis="/var/run/kubevirt-private/downwardapi",
    service_account="/var/run/secrets/kubernetes.io/serviceaccount",
    sysprep="/var/run/kubevirt-private/sysprep",
    kernel_boot="/var/run/kubevirt-kernel-boot",
)


def mounts_below(folder: str) -> Mounts:
    """Return the same folders below one: without root there is no /var/run to prepare."""
    return Mounts(
        claims=join(folder, "vmi-disks"),
        devices=join(folder, "dev"),
        container_disks=join(folder, "container-disks"),
        image_volumes=join(folder, "image-volumes"),
        config_maps=join(folder, "config-map"),
        secrets=join(folder, "secret"),
        downward_apis=join(folder, "downwardapi"),
        service_account=join(folder, "serviceaccount"),
        sysprep=join(folder, "sysprep"),
        kernel_boot=join(folder, "kernel-boot"),
    )


def storage_folder(root: str, guest: Guest) -> str:
    """Return the folder below the launcher's root in which images are made for this guest alone."""
    return join(root, IMAGES_FOLDER, f"{guest.namespace}_{guest.name}")


def layer_path(folder: str, disk: str) -> str:
    """Return where the qcow2 image is made that a disk of this name writes to."""
    return join(folder, f"{disk}.qcow2")


def disc_path(folder: str, disk: str) -> str:
    """Return where the disc is made that a disk of this name reads."""
    return join(folder, f"{disk}.iso")


def metrics_path(folder: str, disk: str) -> str:
    """Return where the image is that a disk of this name shows the host's figures in."""
    return join(folder, f"{disk}.vhostmd")


def absolute_paths(guest: Guest, folder: str) -> Guest:
    """Return the guest with its relative file names taken from this folder; libvirt wants absolute ones."""
    boot = guest.kernel_boot
    if boot is not None and boot.image is None:
        initrd = None if boot.initrd is None else join(folder, boot.initrd)
        boot = replace(boot, kernel=join(folder, boot.kernel), initrd=initrd)
    disks = tuple(replace(disk, path=join(folder, disk.path)) if disk.path else disk for disk in guest.disks)
    return replace(guest, kernel_boot=boot, disks=disks)


def with_kernel_from(guest: Guest, mounts: Mounts) -> Guest:
    """Return the guest with the kernel of a container image where the Pod brings it: under the image's own paths."""
    boot = guest.kernel_boot
    if boot is None or boot.image is None:
        return guest
    kernel, initrd = (path and join(mounts.kernel_boot, path.lstrip("/")) for path in (boot.kernel, boot.initrd))
    return replace(guest, kernel_boot=replace(boot, kernel=kernel or boot.kernel, initrd=initrd, image=None))


def format_by_name(path: str) -> ImageFormat:
    """Return the format of a hostDisk: what its name says (.qcow2, else raw), never what its bytes say.

    A guest can write any bytes to a raw disk: whoever asks them for the format lets the guest open any file.
    """
    return ImageFormat.QCOW2 if path.endswith(".qcow2") else ImageFormat.RAW


def expected_images(guest: Guest, mounts: Mounts, root: str) -> tuple[DiskImage, ...]:
    """Return the images of a guest whose files nobody has looked at: `render` may run on another machine.

    A claim is taken for one of volumeMode Filesystem (a lun's: Block), a container disk for a qcow2 image, and every
    file system for one that has direct I/O; a block size that is to match the volume's is left open.
    """
    folder = storage_folder(root, guest)
    return tuple(_expected(disk, mounts, folder) for disk in guest.filled_disks)


def _expected(disk: Disk, mounts: Mounts, folder: str) -> DiskImage:
    image = _located(disk, mounts, folder)
    return DiskImage(
        disk=disk.name,
        path=image.path,
        format=image.format,
        is_block=image.is_block,
        backing=image.backing,
        cache=disk.cache or CacheMode.NONE,
        io=disk.io,
        block_size=disk.block_size,
    )


def _located(disk: Disk, mounts: Mounts, folder: str) -> DiskImage:  # noqa: PLR0911 - one for each kind of volume
    match disk.volume:
        case None:
            is_block = disk.device is DiskDevice.LUN or disk.path.startswith("/dev/")
            return DiskImage(disk=disk.name, path=disk.path, format=format_by_name(disk.path), is_block=is_block)
        case Claim():
            return _claim_image(disk, mounts)
        case Ephemeral():
            backing = BackingImage(path=join(mounts.claims, disk.name, CLAIM_IMAGE), format=ImageFormat.RAW)
            return layer_image(disk, folder, backing)
        case ContainerDisk(index=index):
            path = join(mounts.container_disks, container_disk_name(index))
            return layer_image(disk, folder, BackingImage(path=path, format=ImageFormat.QCOW2))
        case EmptyDisk():
            return layer_image(disk, folder, None)
        case HostMetrics():
            return DiskImage(disk=disk.name, path=metrics_path(folder, disk.name))
        case CloudInit() | MountedFolder():
            return DiskImage(disk=disk.name, path=disc_path(folder, disk.name))
        case _:
            assert_never(disk.volume)


def _claim_image(disk: Disk, mounts: Mounts) -> DiskImage:
    if disk.device is DiskDevice.LUN:
        return DiskImage(disk=disk.name, path=join(mounts.devices, disk.name), is_block=True)
    return DiskImage(disk=disk.name, path=join(mounts.claims, disk.name, CLAIM_IMAGE))


def layer_image(disk: Disk, folder: str, backing: BackingImage | None) -> DiskImage:
    """Return the qcow2 image that is made for this disk, over another or on its own."""
    return DiskImage(disk=disk.name, path=layer_path(folder, disk.name), format=ImageFormat.QCOW2, backing=backing)


def container_disk_name(index: int) -> str:
    """Return KubeVirt's name of the image file of the volume with this index."""
    return f"disk_{index}.img"
