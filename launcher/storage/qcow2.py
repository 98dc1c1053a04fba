"""qcow2 images: what their header says, and how they are made (by qemu-img)."""

from __future__ import annotations

import struct

from launcher.errors import HypervisorError
from launcher.storage.files import Unusable
from launcher.storage.model import BackingImage
from launcher.vmi.guest import ImageFormat

# The header of a qcow2 image, versions 2 and 3: magic, version, offset and length of the backing file's name
# (QEMU, docs/interop/qcow2.txt); version 3 has incompatible features at byte 72, where bit 2 is an external data file.
_MAGIC = b"QFI\xfb"
_HEADER = struct.Struct(">4sIQI")
_FEATURES_AT = 72
_EXTERNAL_DATA_FILE = 1 << 2

# Making an image writes some hundred KiB; a network file system may take its time over that, but not for ever.
QEMU_IMG_TIMEOUT_S = 60.0


def is_qcow2(path: str) -> bool:
    """Tell by its first bytes whether this is a qcow2 image: only of images that no guest has written."""
    return _read_header(path).startswith(_MAGIC)


def check_qcow2(path: str) -> None:
    """Check that this is a qcow2 image that leads QEMU to no other file; raises Unusable."""
    header = _read_header(path)
    if not header.startswith(_MAGIC) or len(header) < _FEATURES_AT:
        raise Unusable(f"{path!r} is named .qcow2 but is no qcow2 image")
    _magic, version, backing_offset, _length = _HEADER.unpack_from(header)
    if backing_offset:
        raise Unusable(f"{path!r} has a backing file, which would be opened unchecked; flatten it with qemu-img")
    if version >= 3 and int.from_bytes(header[_FEATURES_AT:], "big") & _EXTERNAL_DATA_FILE:
        raise Unusable(f"{path!r} keeps its data in another file, which would be opened unchecked; flatten it")


def _read_header(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - the path stays text
        return file.read(_FEATURES_AT + 8)


def make_empty(path: str, size_bytes: int) -> None:
    """Make an empty image; raises HypervisorError."""
    _create(path, str(size_bytes))


def make_layer(path: str, backing: BackingImage) -> None:
    """Make a layer over an image that stays as it is; raises HypervisorError."""
    _create("-b", backing.path, "-F", backing.format.value, path)


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
        raise HypervisorError(f"{name}: {words or f'exit status {result.returncode}'}")
