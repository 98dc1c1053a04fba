"""The kernel's word that a file has grown: inotify(7), for which the standard library has no call."""

from __future__ import annotations

import ctypes
import os
import select

_IN_MODIFY = 0x2  # include/uapi/linux/inotify.h
_READ_BYTES = 4096


class GrowthWatch:
    """Waits for a file to be written to; where the kernel has no watch to give, waits just as long as asked."""

    def __init__(self, path: str) -> None:
        """Watch a file that is there."""
        self._descriptor = _open_watch(path)

    @property
    def is_watching(self) -> bool:
        """Tell whether the kernel does the waiting."""
        return self._descriptor is not None

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the file has grown; ValueError where there is none."""
        if self._descriptor is None:
            raise ValueError("no watch on this file")
        return self._descriptor

    def forget(self) -> None:
        """Take note of what has been told so far."""
        if self._descriptor is None:
            return
        while select.select([self._descriptor], [], [], 0)[0]:
            os.read(self._descriptor, _READ_BYTES)

    def close(self) -> None:
        """End the watch."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _open_watch(path: str) -> int | None:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    if descriptor < 0:
        return None
    if libc.inotify_add_watch(descriptor, os.fsencode(path), _IN_MODIFY) < 0:
        os.close(descriptor)
        return None
    return int(descriptor)
