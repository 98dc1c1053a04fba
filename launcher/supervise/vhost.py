"""vhost's threads where they are none of QEMU's own: kernel threads beside it, as Linux has them before 6.4."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress

_log = logging.getLogger(__name__)

# They come with the device and stay as long; who looks for them looks at every process there is.
SCAN_INTERVAL_S = 60.0

# vhost_dev_set_owner in the kernel's drivers/vhost/vhost.c: named for the thread that asked for the device.
_NAME = re.compile(r"vhost-(\d+)\n?", re.ASCII)
_PF_KTHREAD = 0x00200000  # include/linux/sched.h


class VhostThreads:
    """Finds the vhost kernel threads of one QEMU, now and then, and only where it has such a device.

    From Linux 6.4 on they are threads of QEMU like the others, and nothing is found here. In a container with
    processes of its own they cannot be seen. One that this user may not move is told of once and left out.
    """

    def __init__(self, pid: int, proc: str, move: Callable[[int, set[int]], None] = os.sched_setaffinity) -> None:
        self._pid = pid
        self._proc = proc
        self._move = move
        self._has_device: bool | None = None
        self._scan_at_s = 0.0
        self._found: tuple[int, ...] = ()
        self._left_out: set[int] = set()

    def find(self) -> tuple[int, ...]:
        """Return the ids of those that are there and can be moved."""
        if self._has_device is None:
            self._has_device = b"vhost" in self._read(self._pid, "cmdline")
        if self._has_device and time.monotonic() >= self._scan_at_s:
            self._scan_at_s = time.monotonic() + SCAN_INTERVAL_S
            self._found = tuple(sorted(tid for tid in self._scan() if self._is_ours(tid)))
        return self._found

    def _scan(self) -> list[int]:
        entries = os.listdir(self._proc)  # noqa: PTH208 - paths of /proc are text here
        return [int(entry) for entry in entries if entry.isdigit() and self._is_vhost(int(entry))]

    def _is_vhost(self, tid: int) -> bool:
        match = _NAME.fullmatch(self._read(tid, "comm").decode("utf-8", "replace"))
        return match is not None and self._is_of_qemu(match[1]) and self._is_kernels(tid)

    def _is_of_qemu(self, owner: str) -> bool:
        return os.path.exists(f"{self._proc}/{self._pid}/task/{owner}")  # noqa: PTH110 - as above

    def _is_kernels(self, tid: int) -> bool:
        """Tell a kernel thread from a process that took such a name (proc_pid_stat(5), field 9)."""
        fields = self._read(tid, "stat").rpartition(b")")[2].split()
        return len(fields) > 6 and bool(int(fields[6]) & _PF_KTHREAD)

    def _is_ours(self, tid: int) -> bool:
        """Tell whether this user may move the thread, by moving it to where it is."""
        try:
            self._move(tid, os.sched_getaffinity(tid))
        except ProcessLookupError:
            return False
        except OSError as error:
            self._tell_left_out(tid, error)
            return False
        return True

    def _tell_left_out(self, tid: int, error: OSError) -> None:
        if tid not in self._left_out:
            _log.warning("not ours to place: QEMU's vhost thread %d, a kernel thread: %s", tid, error.strerror)
        self._left_out.add(tid)

    def _read(self, pid: int, name: str) -> bytes:
        with suppress(OSError), open(f"{self._proc}/{pid}/{name}", "rb") as file:  # noqa: PTH123 - as above
            return file.read()
        return b""
