"""Guests for the tests of storage: one without disks, and the folders in which their volumes are mounted."""

from __future__ import annotations

import struct
from pathlib import Path

from msgspec.structs import replace

from launcher.storage.layout import Mounts, mounts_below
from launcher.vmi.guest import Disk, Guest, GuestCPU, GuestMemory, Topology

GUEST = Guest(name="g", cpu=GuestCPU(topology=Topology()), memory=GuestMemory(guest_bytes=1 << 28))


def guest_with(*disks: Disk) -> Guest:
    """Return the guest with these disks."""
    return replace(GUEST, disks=disks)


def mounts_of(folder: Path) -> Mounts:
    """Return the mounts below the test's folder."""
    return mounts_below(str(folder / "volumes"))


def write(folder: Path, path: str, data: bytes = b"") -> Path:
    """Write a file among the mounts of the test's folder."""
    file = folder / "volumes" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


def qcow2_header(*, backing: int = 0, version: int = 3, features: int = 0, size: int = 0) -> bytes:
    """Return the beginning of a qcow2 image."""
    return struct.pack(">4sIQIIQ", b"QFI\xfb", version, backing, 0, 16, size).ljust(72, b"\0") + struct.pack(
        ">Q", features
    )
