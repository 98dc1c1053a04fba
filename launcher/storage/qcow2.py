"""qcow2 images: what their header says, and how they are made (by qemu-img, which opens no image of others)."""

from __future__ import annotations

import os
import struct

from launcher.errors import HypervisorError
from launcher.storage.files import Unusable
from launcher.storage.model import BackingImage
from launcher.vmi.guest import ImageFormat

# The header of a qcow2 image, versions 2 and 3: magic, version, offset and length of the backing file's name, bits of a
# cluster, size, method of encryption (QEMU, docs/interop/qcow2.txt); version 3 has incompatible features at byte 72,
# where bit 2 is an external data file.
_MAGIC = b"QFI\xfb"
_HEADER = struct.Struct(">4sIQIIQI")
_FEATURES_AT = 72
_EXTERNAL_DATA_FILE = 1 << 2
_VERSIONS = (2, 3)
HEADER_BYTES = _FEATURES_AT + 8
_SECTOR = 512

# Making an image writes some hundred KiB; a network file system may take its time over that, but not for ever.
QEMU_IMG_TIMEOUT_S = 60.0


def is_qcow2(path: str) -> bool:
    """Tell by its first bytes whether this is a qcow2 image: only of images that no guest has written."""
    return _read_header(path).startswith(_MAGIC)


def check_qcow2(path: str) -> None:
    """Check that this is a qcow2 image that leads QEMU to no other file; raises Unusable."""
    check_header(_read_header(path), path)


def check_header(header: bytes, path: str) -> None:
    """Check the first HEADER_BYTES bytes of an image as `check_qcow2` does; `path` is for the message."""
    if not header.startswith(_MAGIC) or len(header) < _FEATURES_AT:
        raise Unusable(f"{path!r} is named .qcow2 but is no qcow2 image")
    _magic, version, backing_offset, _length, _bits, _size, encryption = _HEADER.unpack_from(header)
    if version not in _VERSIONS:
        raise Unusable(f"{path!r} is of qcow2 version {version}, which QEMU does not know (2 and 3); is it damaged?")
    if encryption:
        # There is no field for the key; and qemu-img crashes on a header of LUKS that is malformed.
        raise Unusable(f"{path!r} is encrypted (method {encryption}), which is not supported; decrypt it with qemu-img")
    if backing_offset:
        raise Unusable(f"{path!r} has a backing file, which would be opened unchecked; flatten it with qemu-img")
    if version >= 3 and int.from_bytes(header[_FEATURES_AT:], "big") & _EXTERNAL_DATA_FILE:
        raise Unusable(f"{path!r} keeps its data in another file, which would be opened unchecked; flatten it")


def _read_header(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - the path stays text
        return file.read(HEADER_BYTES)


def virtual_size(descriptor: int, image_format: ImageFormat) -> int:
    """Return the size of the disk that an open image holds, in bytes; of a raw one in whole sectors, as QEMU counts."""
    if image_format is ImageFormat.QCOW2:
        size: int = _HEADER.unpack(os.pread(descriptor, _HEADER.size, 0))[5]
        return size
    return -(-os.lseek(descriptor, 0, os.SEEK_END) // _SECTOR) * _SECTOR


def make_empty(path: str, size_bytes: int) -> None:
    """Make an empty image; raises HypervisorError."""
    _create(path, str(size_bytes))


def make_layer(path: str, backing: BackingImage, size_bytes: int) -> None:
    """Make a layer of this size over an image that stays as it is; raises HypervisorError.

    qemu-img does not look at that image (-u): its name may lead elsewhere by then, and it may be malformed.
    """
    _create("-u", "-b", backing.path, "-F", backing.format.value, path, str(size_bytes))


def _create(*arguments: str) -> None:
    """Run qemu-img create, without a shell; every path is absolute, so that none looks like an option or a protocol."""
    import subprocess  # noqa: PLC0415 - 4 ms that only a guest with such an image pays for

    name = "qemu-img create"
    command = (*name.split(), "-q", "-f", ImageFormat.QCOW2.value, *arguments)
    try:
        result = subprocess.run(  # noqa: S603 - no shell, and the arguments are paths and numbers
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=QEMU_IMG_TIMEOUT_S, check=False
        )
    except FileNotFoundError as error:
        raise HypervisorError("qemu-img is not installed; Debian's package is qemu-utils") from error
    except subprocess.TimeoutExpired as error:
        raise HypervisorError(f"{name}: not done within {QEMU_IMG_TIMEOUT_S:g} s") from error
    if result.returncode != 0:
        words = " ".join(result.stderr.decode(errors="replace").split())
        raise HypervisorError(f"{name}: {words or _end(result.returncode)}")


def _end(code: int) -> str:
    """Say how a program ended, by subprocess's number."""
    if code >= 0:
        return f"exit status {code}"
    import signal  # noqa: PLC0415 - for a program that has crashed

    return f"killed by signal {-code} ({signal.Signals(-code).name}); is the image malformed?"
