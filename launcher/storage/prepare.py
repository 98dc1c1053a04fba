"""Prepares a guest's storage before its start: every fault is told at once, then what is missing is made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import assert_never

from msgspec.structs import replace

from launcher.errors import Fault, HypervisorError, InvalidVMI
from launcher.files import reason
from launcher.storage.discs import build_disc
from launcher.storage.files import Unusable, check_file, check_outside
from launcher.storage.find import Existing, Found, ToBurn, ToCreate, ToFormat, ToLayer, ToPublish, find
from launcher.storage.firmware import firmware_files
from launcher.storage.handover import folders_of, measure
from launcher.storage.layout import Mounts, disc_path, layer_image, layer_path, metrics_path, storage_folder
from launcher.storage.look import has_direct_io, is_allocated, is_whole, read_block_size
from launcher.storage.model import DiskImage
from launcher.storage.qcow2 import make_empty, make_layer
from launcher.vmi.guest import Disk, DiskBus, Guest
from launcher.vmi.guest_storage import (
    BlockSize,
    CacheMode,
    Claim,
    CloudInit,
    ContainerDisk,
    EmptyDisk,
    Ephemeral,
    HostMetrics,
    IOMode,
    MountedFolder,
)

# The size of a disk with the host's figures (vhostmd's).
METRICS_BYTES = 1 << 18
# QEMU's IDE disks have no other (hw/ide/ide-dev.c).
SATA_BLOCK_BYTES = 512


def prepare_storage(guest: Guest, mounts: Mounts, root: Path) -> tuple[DiskImage, ...]:
    """Find the guest's files, make those that are to be made, and return the image of each disk in their order.

    Layers, empty disks, discs and what the firmware shows are made anew in a folder of this guest below the launcher's
    root; what an earlier guest of this name left there is removed, so that none may be running. Raises InvalidVMI with
    every fault, and HypervisorError where the root or qemu-img is of no use.
    """
    firmware, faults = firmware_files(guest, mounts)
    found = _find_all(guest, mounts, root, faults)
    folder = storage_folder(str(root), guest)
    try:
        remove_storage(guest, root)
        os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120 - paths stay text
        os.mkdir(folder, mode=0o700)  # noqa: PTH102 - likewise
        for name, data in firmware:
            _write(f"{folder}/{name}", data)
        return _make_all(guest, found, folder, mounts)
    except OSError as error:
        raise HypervisorError(f"{error.filename or folder}: {reason(error)}; --root needs a writable folder") from error


def remove_storage(guest: Guest, root: Path) -> None:
    """Remove what was made for this guest below the root: its layers, its empty disks, and the secrets on its discs."""
    folder = storage_folder(str(root), guest)
    if os.path.lexists(folder):
        import shutil  # noqa: PLC0415 - 4 ms that only a second start over the same root pays for

        shutil.rmtree(folder)


def _find_all(guest: Guest, mounts: Mounts, root: Path, known: tuple[Fault, ...]) -> tuple[Found, ...]:
    faults, found = [*_kernel_faults(guest, root), *known], []
    for disk in guest.filled_disks:
        try:
            if disk.volume is None:
                check_outside(disk.path, root)
            found.append(find(disk, guest, mounts))
        except Unusable as error:
            faults.append(_fault(disk, error))
    _raise(guest, faults)
    return tuple(found)


def _make_all(guest: Guest, found: tuple[Found, ...], folder: str, mounts: Mounts) -> tuple[DiskImage, ...]:
    faults: list[Fault] = []
    images = []
    for disk, one in zip(guest.filled_disks, found, strict=True):
        try:
            images.append(_opened(disk, _make(disk, one, folder, mounts)))
        except Unusable as error:
            faults.append(_fault(disk, error))
    _raise(guest, faults)
    return tuple(images)


def _raise(guest: Guest, faults: list[Fault]) -> None:
    if faults:
        raise InvalidVMI(f"VMI {guest.namespace}/{guest.name}", faults)


def _fault(disk: Disk, error: Unusable) -> Fault:
    if error.setting is not None:
        return Fault(f"spec.domain.devices.disks[{disk.name}].{error.setting}", str(error))
    return Fault(f"spec.volumes[{disk.name}]{_source_of(disk)}", str(error))


def _source_of(disk: Disk) -> str:  # noqa: PLR0911 - one for each kind of volume
    """Return the field of the disk's source below its volume; of a claim nobody can tell which of the two it is."""
    match disk.volume:
        case None:
            return ".hostDisk.path"
        case Claim():
            return ""
        case Ephemeral():
            return ".ephemeral"
        case ContainerDisk():
            return ".containerDisk"
        case EmptyDisk():
            return ".emptyDisk"
        case HostMetrics():
            return ".downwardMetrics"
        case CloudInit(kind=kind):
            return f".cloudInit{kind}"
        case MountedFolder(kind=kind):
            return f".{kind}"
        case _:
            assert_never(disk.volume)


def _kernel_faults(guest: Guest, root: Path) -> Iterator[Fault]:
    boot = guest.kernel_boot
    if boot is None:
        return
    for field, path in (("kernelPath", boot.kernel), ("initrdPath", boot.initrd)):
        try:
            if path is not None:
                check_outside(path, root)
                check_file(path, writable=False)
        except Unusable as error:
            yield Fault(f"spec.domain.firmware.kernelBoot.container.{field}", str(error))


def _make(disk: Disk, found: Found, folder: str, mounts: Mounts) -> DiskImage:
    """Make what has to be made; return the image, not yet how it is opened."""
    match found:
        case Existing():
            return DiskImage(disk=disk.name, path=found.path, format=found.format, is_block=found.is_block)
        case ToCreate():
            _create_sparse(found)
            return DiskImage(disk=disk.name, path=found.path)
        case ToLayer():
            size_bytes = measure(found.backing, folders_of(disk, mounts))
            make_layer(layer_path(folder, disk.name), found.backing, size_bytes)
            return layer_image(disk, folder, found.backing)
        case ToFormat():
            make_empty(layer_path(folder, disk.name), found.size_bytes)
            return layer_image(disk, folder, None)
        case ToPublish():
            path = metrics_path(folder, disk.name)
            _write(path, bytes(METRICS_BYTES))
            return DiskImage(disk=disk.name, path=path)
        case ToBurn():
            path = disc_path(folder, disk.name)
            _write(path, build_disc(found.label, found.files))
            return DiskImage(disk=disk.name, path=path)
        case _:
            assert_never(found)


def _create_sparse(image: ToCreate) -> None:
    """Make a sparse file; one that somebody else has made meanwhile is left as it is (hostDisk, DiskOrCreate)."""
    try:
        descriptor = os.open(image.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, image.size_bytes)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Unusable(f"{image.path!r} cannot be made: {reason(error)}") from error


def _write(path: str, data: bytes) -> None:
    """Write a file that only this user reads: a disc may hold secrets."""
    partial = f"{path}.new"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(data)
    os.replace(partial, path)  # noqa: PTH105 - paths stay text


def _opened(disk: Disk, image: DiskImage) -> DiskImage:
    """Say how the image is to be opened, by KubeVirt's rules (SetDriverCacheMode and SetOptimalIOMode).

    Without a cache mode it is none where direct I/O is possible, else writethrough; without an I/O mode it is
    native where no block has to be allocated first and the cache is none.
    """
    lack = _lack_of_direct_io(disk, image) if disk.cache in (None, CacheMode.NONE) else ""
    if lack and disk.cache is CacheMode.NONE:
        raise Unusable(f"none needs direct I/O, {lack}", setting="cache")
    if lack and disk.io is IOMode.NATIVE:
        raise Unusable(f"native needs direct I/O, {lack}", setting="io")
    cache = disk.cache or (CacheMode.WRITETHROUGH if lack else CacheMode.NONE)
    suits_native = cache is CacheMode.NONE and is_allocated(image)
    return replace(
        image,
        cache=cache,
        io=disk.io or (IOMode.NATIVE if suits_native else None),
        block_size=_matched(disk, image) if disk.matches_volume else disk.block_size,
    )


def _matched(disk: Disk, image: DiskImage) -> BlockSize:
    """Return the size of the volume's blocks; raises Unusable where such a disk cannot have it."""
    size = read_block_size(image)
    if disk.bus is DiskBus.SATA and size.logical != SATA_BLOCK_BYTES:
        raise Unusable(
            f"{image.path!r} has blocks of {size.logical} bytes, and a sata disk always {SATA_BLOCK_BYTES}; wanted "
            "virtio or scsi",
            setting="blockSize.matchVolume",
        )
    return size


def _lack_of_direct_io(disk: Disk, image: DiskImage) -> str:
    """Say why the image cannot be read and written past the host's cache; empty where it can be."""
    if not has_direct_io(image):
        return f"which the file system of {image.path!r} lacks"
    if not disk.readonly and not is_whole(image):
        return f"for which the size of {image.path!r} must be a multiple of 4096 bytes on its file system"
    return ""
