"""Files that are handed to QEMU open: each as QEMU will want to read it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from launcher.storage.handover import hand_images, opened
from launcher.storage.model import BackingImage, DiskImage
from launcher.vmi.guest import Disk, ImageFormat
from launcher.vmi.guest_storage import CacheMode
from tests.storage.guests import guest_with, mounts_of

# What QEMU compares of a descriptor's flags with those that it would open the file with (monitor/fds.c).
COMPARED = os.O_ACCMODE | os.O_DIRECT


@pytest.mark.parametrize(
    ("cache", "readonly", "wanted"),
    [
        pytest.param(CacheMode.NONE, False, os.O_RDWR | os.O_DIRECT, id="past the cache"),
        pytest.param(CacheMode.NONE, True, os.O_RDONLY | os.O_DIRECT, id="past the cache, only read"),
        pytest.param(CacheMode.WRITETHROUGH, False, os.O_RDWR, id="written through it"),
        pytest.param(CacheMode.WRITEBACK, True, os.O_RDONLY, id="in the cache, only read"),
    ],
)
def test_an_image_is_open_as_qemu_would_open_it(tmp_path: Path, cache: CacheMode, readonly: bool, wanted: int) -> None:
    top, below = tmp_path / "top.img", tmp_path / "below.img"
    for path in (top, below):
        path.write_bytes(bytes(4096))
    guest = guest_with(Disk(name="d", path=str(top), readonly=readonly))
    image = DiskImage(
        disk="d", path=str(top), cache=cache, backing=BackingImage(path=str(below), format=ImageFormat.RAW)
    )
    _, files = hand_images(guest, (image,), mounts_of(tmp_path), str(tmp_path / "own"))
    with opened(files) as groups:
        flags = {name: fcntl.fcntl(descriptor, fcntl.F_GETFL) & COMPARED for name, descriptor in groups}
    assert flags == {"image-d": wanted, "below-d": wanted & ~os.O_ACCMODE}
