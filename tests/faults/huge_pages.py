"""Huge pages of this machine, reserved for a test and given back, and a file system of them that nobody else sees."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_POOL = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
# Mounts them where the first argument says, then becomes the command behind it.
_MOUNT = 'mount -t hugetlbfs -o pagesize=2M none "$0" && exec "$@"'


@contextmanager
def reserved(pages: int) -> Iterator[None]:
    """Have so many free pages of 2 MiB more than there are; other tests of this machine wait."""
    with Path(tempfile.gettempdir(), "virt-launcher-huge-pages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        count = _POOL / "nr_hugepages"
        before = int(count.read_text())
        try:
            count.write_text(str(before + pages))
            found = int(count.read_text())
            if found < before + pages:
                pytest.fail(f"this machine reserves {found - before} huge pages, {pages} are needed: free some memory")
            yield
        finally:
            count.write_text(str(before))


@contextmanager
def makeable(pages: int) -> Iterator[None]:
    """Let the kernel make so many pages of 2 MiB when they are wanted; other tests of this machine wait."""
    with Path(tempfile.gettempdir(), "virt-launcher-huge-pages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        most = _POOL / "nr_overcommit_hugepages"
        before = most.read_text()
        try:
            most.write_text(str(pages))
            yield
        finally:
            most.write_text(before)


def free_pages() -> int:
    """Return how many there are to be had."""
    return int((_POOL / "free_hugepages").read_text()) - int((_POOL / "resv_hugepages").read_text())


def with_mount(folder: Path) -> tuple[str, ...]:
    """Return what to put before a command so that it has them below this folder, and nobody else."""
    folder.mkdir(exist_ok=True)
    return ("unshare", "--mount", "sh", "-c", _MOUNT, str(folder))
