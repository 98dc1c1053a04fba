"""The folder of one run, which goes with the run: at its end, or at the next start where the run was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "run-"


@contextmanager
def run_folder(parent: Path) -> Iterator[Path]:
    """Make a folder for one run and remove it; it is locked (flock(2)) as long as the run lives.

    Begin it where nobody calls `remove_forsaken`: for a moment the folder is there and not locked yet.
    """
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(lock)


def remove_forsaken(parent: Path) -> None:
    """Remove the folders of runs that were killed: the kernel has let go of their locks."""
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
