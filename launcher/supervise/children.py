"""The launcher's duties as a parent: QEMU becomes its child, is waited for, and every orphan is reaped."""

from __future__ import annotations

import ctypes
import os
import queue
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from launcher.hypervisor.process import QEMUProcess

_PR_SET_CHILD_SUBREAPER = 36  # include/uapi/linux/prctl.h

# libvirt waits for its own children within milliseconds of their end. A zombie that is older than this is nobody's.
FORSAKEN_S = 5.0
# How long the end of a process, known from its pidfd, may stay unexplained while the reaper's thread gets its turn.
EXPLANATION_S = 1.0


class _Zombie(Struct, frozen=True, kw_only=True):
    """An ended child that nobody has waited for yet."""

    pid: int
    session: int


class ChildReaper:
    """Makes this process the parent of the daemons that libvirt starts, and reaps them without taking libvirt's own.

    libvirt starts QEMU as a daemon (two forks, a session of its own) and sees it gone only once somebody has reaped
    it: at once with this, after 2 s where process 1 is slow, and never where the launcher is process 1 and does not
    reap (prctl(2), PR_SET_CHILD_SUBREAPER). The children that libvirt waits for itself are in this process's session
    or lead their own; a daemon's process is in another session that it does not lead.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        """Become a subreaper and begin to reap; call in the main thread, where signal handlers are set."""
        self._proc = proc
        self._wake_ups: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._ends: dict[int, int] = {}
        self._news = threading.Condition()
        self._seen_s: dict[int, float] = {}
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: self._wake_ups.put(None))
        threading.Thread(target=self._run, name="reaper", daemon=True).start()

    def wait_status(self, pid: int) -> int | None:
        """Return the wait status of this ended child; None where it was no child of ours and nobody here can know."""
        deadline_s = time.monotonic() + EXPLANATION_S
        self._wake_ups.put(None)
        if not (self._proc / "self").exists():
            self._wait_for(pid)
        with self._news:
            while pid not in self._ends and self._is_our_child(pid) and time.monotonic() < deadline_s:
                self._news.wait(0.05)
            return self._ends.pop(pid, None)

    def _is_our_child(self, pid: int) -> bool:
        """Tell whether this is a child yet to be reaped: of others, such as an adopted QEMU, nothing can be known."""
        fields = self._read_stat(pid)
        return fields is not None and int(fields[1]) == os.getpid()

    def _run(self) -> None:
        self._reap()
        while True:
            with suppress(queue.Empty):
                self._wake_ups.get(timeout=FORSAKEN_S if self._seen_s else None)
            self._reap()

    def _reap(self) -> None:
        try:
            zombies = tuple(self._zombies())
        except OSError:
            # Without /proc there is nothing to go by; it may come back.
            return
        now_s = time.monotonic()
        self._seen_s = {zombie.pid: self._seen_s.get(zombie.pid, now_s) for zombie in zombies}
        own_session = os.getsid(0)
        for zombie in zombies:
            forsaken = now_s - self._seen_s[zombie.pid] >= FORSAKEN_S
            if forsaken or zombie.session not in (own_session, zombie.pid):
                self._wait_for(zombie.pid)

    def _wait_for(self, pid: int) -> None:
        # Both at once, so that nobody finds a process gone whose end is not told yet.
        with self._news:
            try:
                ended, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                return
            # The first thread is a zombie before the others have ended, and the process has no status yet (waitpid(2)).
            if ended:
                self._ends[pid] = status
                self._news.notify_all()

    def _zombies(self) -> Iterator[_Zombie]:
        for entry in self._proc.iterdir():
            if not entry.name.isdigit():
                continue
            fields = self._read_stat(int(entry.name))
            if fields is None:
                continue
            state, parent, session = fields[0], int(fields[1]), int(fields[3])
            if state == "Z" and parent == os.getpid():
                yield _Zombie(pid=int(entry.name), session=session)

    def _read_stat(self, pid: int) -> list[str] | None:
        """Return the fields after the name (proc_pid_stat(5)): state, parent, group, session; None if it is gone."""
        try:
            return (self._proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None


def wait_for_end(process: QEMUProcess, reaper: ChildReaper, on_end: Callable[[int | None], None]) -> None:
    """Wait until the process has ended and tell its wait status, where that can be known.

    Blocks without a deadline and is meant for a daemon thread: waiting for QEMU is what the launcher is there for.
    """
    select.select([process.pidfd], [], [])
    on_end(reaper.wait_status(process.pid))


def describe_wait_status(status: int) -> str:
    """Put a wait status (waitpid(2)) in words."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return f"killed by signal {number} ({signal.Signals(number).name})"
    return f"exit status {os.waitstatus_to_exitcode(status)}"


def kill(process: QEMUProcess) -> None:
    """Send SIGKILL to exactly this process; one that has ended already is no error."""
    try:
        signal.pidfd_send_signal(process.pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return
