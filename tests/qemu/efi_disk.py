"""A disk that UEFI would boot from by itself: FAT16 (the UEFI specification, 13.3) with one program at \\EFI\\BOOT."""

from __future__ import annotations

import struct
from pathlib import Path

_SECTOR, _PER_CLUSTER, _RESERVED, _ROOT_ENTRIES = 512, 8, 1, 512
_CLUSTER = _SECTOR * _PER_CLUSTER
# FAT16 is what has as many clusters as this and fewer than 65525.
_LEAST_CLUSTERS = 4200
_IS_FOLDER, _IS_FILE, _END = 0x10, 0x20, 0xFFFF


def write_efi_disk(path: Path, program: bytes) -> None:
    """Write the disk: clusters 2 and 3 are the folders, the program's follow one after the other."""
    length = -(-len(program) // _CLUSTER)
    clusters = max(_LEAST_CLUSTERS, length + 2)
    fat_sectors = -(-(clusters + 2) * 2 // _SECTOR)
    sectors = _RESERVED + fat_sectors + _ROOT_ENTRIES * 32 // _SECTOR + clusters * _PER_CLUSTER
    table = [0xFFF8, _END, _END, _END, *range(5, 4 + length), _END]
    with path.open("wb") as disk:
        disk.write(_boot_sector(sectors, fat_sectors))
        disk.write(struct.pack(f"<{len(table)}H", *table).ljust(fat_sectors * _SECTOR, b"\0"))
        disk.write(_entry(b"EFI", _IS_FOLDER, 2, 0).ljust(_ROOT_ENTRIES * 32, b"\0"))
        disk.write((_parents(2, 0) + _entry(b"BOOT", _IS_FOLDER, 3, 0)).ljust(_CLUSTER, b"\0"))
        disk.write((_parents(3, 2) + _entry(b"BOOTX64 EFI", _IS_FILE, 4, len(program))).ljust(_CLUSTER, b"\0"))
        disk.write(program)
        # Whole pages, for direct I/O; what is behind the file system is nobody's.
        disk.truncate(-(-sectors * _SECTOR // _CLUSTER) * _CLUSTER)


def _boot_sector(sectors: int, fat_sectors: int) -> bytes:
    start = struct.pack(
        "<3s8sHBHBHHBHHHIIBBBI11s8s",
        *(b"\xeb\x3c\x90", b"TESTS   ", _SECTOR, _PER_CLUSTER, _RESERVED, 1, _ROOT_ENTRIES),
        *(sectors if sectors < 1 << 16 else 0, 0xF8, fat_sectors, 32, 2, 0, sectors if sectors >= 1 << 16 else 0),
        *(0x80, 0, 0x29, 1, b"NO NAME    ", b"FAT16   "),
    )
    return start.ljust(510, b"\0") + b"\x55\xaa"


def _parents(own: int, above: int) -> bytes:
    return _entry(b".", _IS_FOLDER, own, 0) + _entry(b"..", _IS_FOLDER, above, 0)


def _entry(name: bytes, kind: int, cluster: int, size: int) -> bytes:
    return struct.pack("<11sB14xHI", name.ljust(11), kind, cluster, size)
