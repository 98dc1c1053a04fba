"""The guest's files on this machine: disks that are there or are made, their formats, and the kernel to boot."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from launcher.errors import Fault, InvalidVMI
from launcher.vmi.guest import Disk, Guest, ImageFormat

# The header of a qcow2 image, versions 2 and 3: magic, version, offset and length of the backing file's name
# (QEMU, docs/interop/qcow2.txt); version 3 has incompatible features at byte 72, where bit 2 is an external data file.
_QCOW2_MAGIC = b"QFI\xfb"
_QCOW2_HEADER = struct.Struct(">4sIQI")
_QCOW2_FEATURES_AT = 72
_EXTERNAL_DATA_FILE = 1 << 2


def absolute_paths(guest: Guest, folder: str) -> Guest:
    """Return the guest with its relative file names taken from this folder; libvirt wants absolute ones."""
    boot = guest.kernel_boot
    if boot is not None:
        initrd = None if boot.initrd is None else os.path.join(folder, boot.initrd)  # noqa: PTH118 - paths stay text
        boot = replace(boot, kernel=os.path.join(folder, boot.kernel), initrd=initrd)  # noqa: PTH118 - as above
    disks = tuple(replace(disk, path=os.path.join(folder, disk.path)) for disk in guest.disks)  # noqa: PTH118 - as above
    return replace(guest, kernel_boot=boot, disks=disks)


def find_files(guest: Guest) -> tuple[tuple[str, ImageFormat], ...]:
    """Check that every file that the guest names is there and can be read, make the disks that are to be made.

    Returns the image format of each disk by name. The format is what the file's name says (.qcow2, else raw), never
    what its bytes say: a guest can write any bytes to a raw disk. Raises InvalidVMI with every fault.
    """
    faults = [*_kernel_faults(guest), *_disk_faults(guest)]
    if faults:
        raise InvalidVMI(f"VMI {guest.namespace}/{guest.name}", faults)
    for disk in guest.disks:
        _make_where_wanted(disk)
    return image_formats(guest)


def image_formats(guest: Guest) -> tuple[tuple[str, ImageFormat], ...]:
    """Return the image format of each disk by name, as the names of their files say it; looks at no file."""
    return tuple((disk.name, _format_by_name(disk)) for disk in guest.disks)


def _kernel_faults(guest: Guest) -> Iterator[Fault]:
    if guest.kernel_boot is None:
        return
    path = "spec.domain.firmware.kernelBoot.container"
    yield from _file_faults(f"{path}.kernelPath", guest.kernel_boot.kernel)
    if guest.kernel_boot.initrd is not None:
        yield from _file_faults(f"{path}.initrdPath", guest.kernel_boot.initrd)


def _file_faults(field: str, path: str) -> Iterator[Fault]:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - the path may hold anything, errors are wanted as they come
    except (OSError, ValueError) as error:
        yield Fault(field, f"{path!r}: {getattr(error, 'strerror', None) or error}")
        return
    if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
        yield Fault(field, f"{path!r} is neither a file nor a block device")
    elif not os.access(path, os.R_OK):
        yield Fault(field, f"{path!r}: not readable for this user")


def _disk_faults(guest: Guest) -> Iterator[Fault]:
    for disk in guest.disks:
        field = f"spec.volumes[{disk.name}].hostDisk.path"
        if disk.create_bytes is not None and not os.path.lexists(disk.path):
            yield from _creation_faults(field, disk)
            continue
        faults = tuple(_file_faults(field, disk.path))
        yield from faults
        if not faults:
            yield from _access_faults(field, disk)


def _creation_faults(field: str, disk: Disk) -> Iterator[Fault]:
    folder = os.path.dirname(disk.path) or "."  # noqa: PTH120 - the path stays text
    if _format_by_name(disk) is not ImageFormat.RAW:
        yield Fault(field, f"{disk.path!r} is not there, and only raw images are made here; make it with qemu-img")
    elif not os.path.isdir(folder):  # noqa: PTH112 - as above
        yield Fault(field, f"{disk.path!r} cannot be made: {folder!r} is no folder")


def _access_faults(field: str, disk: Disk) -> Iterator[Fault]:
    if not disk.readonly and not os.access(disk.path, os.W_OK):
        yield Fault(field, f"{disk.path!r}: not writable for this user; make it so, or the disk readonly")
    if _format_by_name(disk) is ImageFormat.QCOW2:
        yield from _qcow2_faults(field, disk.path)


def _qcow2_faults(field: str, path: str) -> Iterator[Fault]:
    with open(path, "rb") as file:  # noqa: PTH123 - the path stays text
        header = file.read(_QCOW2_FEATURES_AT + 8)
    if len(header) < len(_QCOW2_MAGIC) or not header.startswith(_QCOW2_MAGIC) or len(header) < _QCOW2_FEATURES_AT:
        yield Fault(field, f"{path!r} is named .qcow2 but is no qcow2 image")
        return
    _magic, version, backing_offset, _length = _QCOW2_HEADER.unpack_from(header)
    if backing_offset:
        yield Fault(field, f"{path!r} has a backing file, which would be opened unchecked; flatten it with qemu-img")
    elif version >= 3 and int.from_bytes(header[_QCOW2_FEATURES_AT:], "big") & _EXTERNAL_DATA_FILE:
        yield Fault(field, f"{path!r} keeps its data in another file, which would be opened unchecked; flatten it")


def _format_by_name(disk: Disk) -> ImageFormat:
    return ImageFormat.QCOW2 if Path(disk.path).suffix == ".qcow2" else ImageFormat.RAW


def _make_where_wanted(disk: Disk) -> None:
    """Make a sparse file of the wanted size; one that is there already is left as it is (hostDisk, DiskOrCreate)."""
    if disk.create_bytes is None or os.path.lexists(disk.path):
        return
    try:
        descriptor = os.open(disk.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, disk.create_bytes)
        finally:
            os.close(descriptor)
    except OSError as error:
        fault = Fault(f"spec.volumes[{disk.name}].hostDisk.path", f"{disk.path!r} cannot be made: {error.strerror}")
        raise InvalidVMI("VMI", (fault,)) from error
