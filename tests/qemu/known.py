"""What libvirt has found out about QEMU, handed from one test to the next: to find it out takes seconds."""

from __future__ import annotations

import shutil
from pathlib import Path


def hand_out(known: Path, cache: Path) -> None:
    """Lay what is known, if anything is by now, into a libvirt's cache that knows nothing yet."""
    if (known / "qemu").exists():
        shutil.copytree(known / "qemu", cache / "qemu")


def collect(cache: Path, known: Path) -> None:
    """Keep what is in a libvirt's cache where nothing was known."""
    if (cache / "qemu").exists() and not (known / "qemu").exists():
        shutil.copytree(cache / "qemu", known / "qemu")
