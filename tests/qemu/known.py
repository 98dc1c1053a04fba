"""What libvirt has found out about QEMU, handed from one test to the next: to find it out takes seconds."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """Return the folder of this run for what is known; pytest-xdist's workers have theirs below that of the run."""
    own = factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "known"
    folder.mkdir(exist_ok=True)
    return folder


def hand_out(known: Path, cache: Path) -> None:
    """Lay what is known, if anything is by now, into a libvirt's cache that knows nothing yet."""
    if (known / "qemu").exists():
        shutil.copytree(known / "qemu", cache / "qemu")


def collect(cache: Path, known: Path) -> None:
    """Keep what is in a libvirt's cache where nothing was known; another worker may do the same at this moment."""
    if not (cache / "qemu").exists() or (known / "qemu").exists():
        return
    with tempfile.TemporaryDirectory(dir=known) as folder:
        shutil.copytree(cache / "qemu", Path(folder) / "qemu")
        # It is there whole or not at all, and whose it is makes no difference.
        with suppress(OSError):
            os.rename(Path(folder) / "qemu", known / "qemu")  # noqa: PTH104 - onto a folder that is there it fails
