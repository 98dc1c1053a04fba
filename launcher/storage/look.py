"""What an image's file system or device can do: direct I/O, native I/O, and the sizes of its blocks."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import struct

from launcher.files import reason
from launcher.storage.files import Unusable
from launcher.storage.model import DiskImage
from launcher.vmi.guest import ImageFormat
from launcher.vmi.guest_storage import BlockSize

# include/uapi/linux/fs.h: ioctls that give the size of a block device's logical and physical blocks.
_BLKSSZGET, _BLKPBSZGET = 0x1268, 0x127B
# MIN_BLOCK_SIZE and MAX_BLOCK_SIZE of QEMU's hw/core/qdev-prop-internal.h.
_BLOCK_SIZES = range(512, (1 << 21) + 1)
# The lengths that QEMU tries to read past the cache (block/file-posix.c, raw_probe_alignment), and its sector.
_LENGTHS, _SAFE_LENGTH, _SECTOR = (1, 512, 1024, 2048, 4096), 4096, 512


def has_direct_io(image: DiskImage) -> bool:
    """Tell whether the image and the one below it can be read past the host's cache (open(2), O_DIRECT)."""
    backing = () if image.backing is None else (image.backing.path,)
    return all(_opens_directly(path) for path in (image.path, *backing))


def _opens_directly(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise Unusable(f"{path!r}: {reason(error)}") from error
    return True


def is_whole(image: DiskImage) -> bool:
    """Tell whether QEMU can write the image's last block past the host's cache; one that only QEMU lengthens always is.

    QEMU starts no disk that is written past the cache and does not end with a block, however that cache is asked for
    ("Cannot get 'write' permission without 'resize'"): a raw file of an odd size, on tmpfs or on 4 KiB sectors.
    """
    if image.is_block or image.format is not ImageFormat.RAW:
        return True
    sectors = -(-os.stat(image.path).st_size // _SECTOR)  # noqa: PTH116 - paths stay text
    return sectors * _SECTOR % _direct_block(image.path) == 0


def _direct_block(path: str) -> int:
    """Return the block in which QEMU reads and writes a file past the cache: the shortest that can be read.

    Where a single byte can be, the file system says nothing of its blocks, and QEMU takes the longest.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    try:
        with mmap.mmap(-1, _SAFE_LENGTH) as memory:
            shortest = next((length for length in _LENGTHS if _can_read(descriptor, memory, length)), _SAFE_LENGTH)
    finally:
        os.close(descriptor)
    return _SAFE_LENGTH if shortest == 1 else shortest


def _can_read(descriptor: int, memory: mmap.mmap, length: int) -> bool:
    try:
        with memoryview(memory) as whole, whole[:length] as part:
            os.preadv(descriptor, [part], 0)
    except OSError as error:
        return error.errno != errno.EINVAL
    return True


def is_allocated(image: DiskImage) -> bool:
    """Tell whether every block of the image has its place already: a device, or a raw file without holes."""
    if image.is_block:
        return True
    if image.format is not ImageFormat.RAW:
        return False
    status = os.stat(image.path)  # noqa: PTH116 - paths stay text
    return status.st_blocks * 512 >= status.st_size


def read_block_size(image: DiskImage) -> BlockSize:
    """Return the sizes of the device's blocks, for a file that of its file system's; raises Unusable."""
    size = _device_block_size(image.path) if image.is_block else _file_block_size(image.path)
    for amount in (size.logical, size.physical):
        if amount not in _BLOCK_SIZES or amount.bit_count() != 1:
            raise Unusable(
                f"{image.path!r} has blocks of {amount} bytes, which no disk of QEMU's has; use custom",
                setting="blockSize.matchVolume",
            )
    return size


def _file_block_size(path: str) -> BlockSize:
    size = os.statvfs(path).f_bsize
    return BlockSize(logical=size, physical=size)


def _device_block_size(path: str) -> BlockSize:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        sizes = [_ask(descriptor, request) for request in (_BLKSSZGET, _BLKPBSZGET)]
    finally:
        os.close(descriptor)
    return BlockSize(logical=sizes[0], physical=sizes[1])


def _ask(descriptor: int, request: int) -> int:
    (size,) = struct.unpack("I", fcntl.ioctl(descriptor, request, bytes(4)))
    return int(size)
