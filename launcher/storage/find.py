"""What is behind each disk on this machine: the image that is there, or what has to be made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from posixpath import join
from typing import TypeAlias, assert_never

from msgspec import Struct
from msgspec.structs import replace

from launcher.errors import Fault, InvalidVMI
from launcher.storage.cloudinit import LABELS, cloud_init_files
from launcher.storage.discs import Files
from launcher.storage.files import Unusable, check_file, is_folder, is_there, read_inside, resolve_inside
from launcher.storage.folders import MAX_DISC_BYTES, read_folder
from launcher.storage.layout import CLAIM_IMAGE, Mounts, container_disk_name, format_by_name
from launcher.storage.model import BackingImage
from launcher.storage.qcow2 import check_qcow2, is_qcow2
from launcher.vmi.guest import Disk, DiskDevice, Guest, ImageFormat
from launcher.vmi.guest_storage import (
    Claim,
    CloudInit,
    ContainerDisk,
    EmptyDisk,
    Ephemeral,
    FolderKind,
    HostMetrics,
    MountedFolder,
)

# The label of a disc for which the manifest has none, as KubeVirt's.
_DEFAULT_LABEL = "cfgdata"
# The names under which the kubelet has a secret's data for cloud-init, in KubeVirt's order.
_USER_DATA = ("userdata", "userData")
_NETWORK_DATA = ("networkdata", "networkData")
# The kinds of objects whose files may stand beside the machine.
_BESIDE: dict[FolderKind, tuple[str, ...]] = {
    FolderKind.CONFIG_MAP: ("ConfigMap",),
    FolderKind.SECRET: ("Secret",),
    FolderKind.SYSPREP: ("ConfigMap", "Secret"),
    FolderKind.DOWNWARD_API: (),
    FolderKind.SERVICE_ACCOUNT: (),
}
# What Windows' setup looks for on a disc.
_ANSWERS = ("autounattend.xml", "unattend.xml")
# In a container image, the folder of the one image file whose path is not given.
_IMAGE_FOLDER = "disk"


class Existing(Struct, frozen=True, kw_only=True):
    """An image that is used as it is."""

    path: str
    format: ImageFormat = ImageFormat.RAW
    is_block: bool = False


class ToCreate(Struct, frozen=True, kw_only=True):
    """A raw image to be created where the manifest says, sparse."""

    path: str
    size_bytes: int


class ToLayer(Struct, frozen=True, kw_only=True):
    """An image over which a layer is to be made."""

    backing: BackingImage


class ToFormat(Struct, frozen=True, kw_only=True):
    """An empty image to be made."""

    size_bytes: int


class ToBurn(Struct, frozen=True, kw_only=True):
    """A disc to be made."""

    label: str
    files: Files


class ToPublish(Struct, frozen=True, kw_only=True):
    """An image for the host's figures, empty to begin with."""


Found: TypeAlias = ToPublish | Existing | ToCreate | ToLayer | ToFormat | ToBurn


def find(disk: Disk, guest: Guest, mounts: Mounts) -> Found:  # noqa: PLR0911 - one for each kind of volume
    """Find what is behind this disk; makes nothing. Raises Unusable, which says what is wrong with its volume."""
    match disk.volume:
        case None:
            return _find_host_disk(disk)
        case Claim():
            return _find_claim(disk, mounts, writable=not disk.readonly)
        case Ephemeral():
            claim = _find_claim(disk, mounts, writable=False)
            backing = BackingImage(path=claim.path, format=claim.format, is_block=claim.is_block)
            return ToLayer(backing=backing)
        case ContainerDisk():
            return ToLayer(backing=_find_container_disk(disk.volume, mounts))
        case HostMetrics():
            return ToPublish()
        case EmptyDisk(capacity_bytes=size_bytes):
            return ToFormat(size_bytes=size_bytes)
        case CloudInit():
            return _find_cloud_init(disk.name, disk.volume, guest, mounts)
        case MountedFolder():
            return _find_folder(disk.name, disk.volume, guest, mounts)
        case _:
            assert_never(disk.volume)


def find_kernel(guest: Guest, mounts: Mounts) -> Guest:
    """Return the guest with the files of its kernel from an image; raises InvalidVMI where they are not there."""
    boot = guest.kernel_boot
    if boot is None or boot.image is None:
        return guest
    found, faults = {}, []
    for field, path in (("kernel", boot.kernel), ("initrd", boot.initrd)):
        try:
            found[field] = path and resolve_inside(mounts.kernel_boot, path.lstrip("/"))
        except Unusable as error:
            faults.append(Fault(f"spec.domain.firmware.kernelBoot.container.{field}Path", str(error)))
    if faults:
        raise InvalidVMI(f"VMI {guest.namespace}/{guest.name}", faults)
    kernel = replace(boot, kernel=found["kernel"] or boot.kernel, initrd=found["initrd"], image=None)
    return replace(guest, kernel_boot=kernel)


def _find_host_disk(disk: Disk) -> Existing | ToCreate:
    image_format = format_by_name(disk.path)
    if disk.create_bytes is not None and not is_there(disk.path):
        folder = os.path.dirname(disk.path) or "."  # noqa: PTH120 - paths stay text
        if image_format is not ImageFormat.RAW:
            raise Unusable(f"{disk.path!r} is not there, and only raw images are made here; make it with qemu-img")
        if not is_folder(folder):
            raise Unusable(f"{disk.path!r} cannot be made: {folder!r} is no folder")
        return ToCreate(path=disk.path, size_bytes=disk.create_bytes)
    is_block = check_file(disk.path, writable=not disk.readonly)
    if image_format is ImageFormat.QCOW2:
        check_qcow2(disk.path)
    return Existing(path=disk.path, format=image_format, is_block=is_block)


def _find_claim(disk: Disk, mounts: Mounts, *, writable: bool) -> Existing:
    """Find a claim: mounted as a folder (volumeMode Filesystem), else as a device (Block)."""
    folder, device = join(mounts.claims, disk.name), join(mounts.devices, disk.name)
    if is_folder(folder) and disk.device is not DiskDevice.LUN:
        path = resolve_inside(folder, CLAIM_IMAGE)
        return Existing(path=path, is_block=check_file(path, writable=writable))
    if not is_there(device):
        raise Unusable(f"no folder {folder!r} and no device {device!r}: is the claim mounted?")
    path = resolve_inside(mounts.devices, disk.name)
    if not check_file(path, writable=writable):
        raise Unusable(f"{path!r} is no block device")
    return Existing(path=path, is_block=True)


def _find_container_disk(source: ContainerDisk, mounts: Mounts) -> BackingImage:
    """Find the image file itself where it is mounted, else in the mounted folder of its container image."""
    name = container_disk_name(source.index)
    folder = join(mounts.image_volumes, name.removesuffix(".img"))
    if is_there(join(mounts.container_disks, name)):
        path = resolve_inside(mounts.container_disks, name)
    elif is_folder(folder):
        path = resolve_inside(folder, source.path.lstrip("/") if source.path else _only_file(folder))
    else:
        raise Unusable(
            f"neither {join(mounts.container_disks, name)!r} nor {folder!r} is there: is {source.image!r} mounted?"
        )
    check_file(path, writable=False)
    # No guest writes to it, so its own bytes may say what it is.
    if not is_qcow2(path):
        return BackingImage(path=path, format=ImageFormat.RAW)
    check_qcow2(path)
    return BackingImage(path=path, format=ImageFormat.QCOW2)


def _only_file(folder: str) -> str:
    place = resolve_inside(folder, _IMAGE_FOLDER)
    names = sorted(os.listdir(place)) if is_folder(place) else []  # noqa: PTH208 - paths stay text
    if len(names) != 1:
        raise Unusable(f"{place!r} holds {len(names)} files; say which by containerDisk.path, or have one")
    return join(_IMAGE_FOLDER, names[0])


def _find_cloud_init(volume: str, source: CloudInit, guest: Guest, mounts: Mounts) -> ToBurn:
    secrets = join(mounts.secrets, volume)
    user_data = source.user_data or b""
    if source.user_data_secret is not None:
        user_data = _read_first(secrets, _USER_DATA, guest.files_beside(source.user_data_secret, "Secret"))
    network_data = source.network_data or b""
    if source.network_data_secret is not None:
        network_data = _read_first(secrets, _NETWORK_DATA, guest.files_beside(source.network_data_secret, "Secret"))
    keys = tuple(key for secret in source.key_secrets for key in _keys(secret, guest, mounts))
    files = cloud_init_files(source.kind, guest, user_data, network_data, keys)
    return ToBurn(label=LABELS[source.kind], files=files)


def _keys(secret: str, guest: Guest, mounts: Mounts) -> Iterator[str]:
    """Yield each value of the Secret as a public key, in the order of their names; one that is empty is none."""
    folder = mounts.keys_of(secret)
    files = read_folder(folder) if is_folder(folder) else guest.files_beside(secret, "Secret")
    if files is None:
        raise Unusable(f"{folder!r} is not there: is the secret {secret!r} of accessCredentials mounted?")
    for name, data in files:
        try:
            key = data.decode()
        except UnicodeDecodeError as error:
            raise Unusable(f"{join(folder, name)!r} is no public key: it is not text") from error
        if key:
            yield key


def _read_first(folder: str, names: tuple[str, ...], beside: Files | None) -> bytes:
    """Return the first of these files that the Pod has mounted, else that stands beside the machine."""
    for name in names:
        if is_there(join(folder, name)):
            return read_inside(folder, name, at_most_bytes=MAX_DISC_BYTES)
    found = {} if is_folder(folder) else dict(beside or ())
    for name in names:
        if name in found:
            return found[name]
    raise Unusable(f"{folder!r} holds neither {' nor '.join(map(repr, names))}: is the secret mounted?")


def _find_folder(volume: str, source: MountedFolder, guest: Guest, mounts: Mounts) -> ToBurn:
    folder = mounts.folder_of(source.kind, volume)
    files = read_folder(folder) if is_folder(folder) else guest.files_beside(source.object_name, *_BESIDE[source.kind])
    if files is None and not source.optional:
        raise Unusable(f"{folder!r} is not there: is the {source.kind} mounted?")
    files = files or ()
    if source.kind is FolderKind.SYSPREP and not any(name.lower() in _ANSWERS for name, _ in files):
        raise Unusable(f"{folder!r} holds neither {' nor '.join(map(repr, _ANSWERS))}, in capitals or not")
    return ToBurn(label=source.label or _DEFAULT_LABEL, files=files)
