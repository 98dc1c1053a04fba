"""Probes: the QEMUs that libvirt starts below a root for a few seconds, to ask them what they can do."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from launcher.files import remove_tree
from launcher.hypervisor.deadline import DeadlineExceeded
from launcher.hypervisor.process import command_lines

_log = logging.getLogger(__name__)

T = TypeVar("T")

# How often is looked whether a probe gets on, and how often in a row it may be found where it was: one that gets on is
# over in 1 to 5 s. Looks are counted, not seconds: who was stopped himself for a while has only looked once.
LOOK_INTERVAL_S = 1.0
LOOKS = 10

_STANDING = frozenset("STt")  # asleep, stopped, traced: proc_pid_stat(5)


class _Progress(Struct, frozen=True, kw_only=True):
    """How far a probe has come: its processor time in ticks, and in how many looks that has not changed."""

    ticks: int
    looks: int = 0


class ProbeWatch:
    """Ends the probes that stand still while libvirt waits for them, which it does for ever.

    Seldom QEMU 7.2 never answers: its monitor's thread sleeps in accept4(2) for a connection that its main thread has
    accepted. A probe that waits for a processor or for a disk is not one that stands still.
    """

    def __init__(self, root: Path, *, clock: Callable[[], float] = time.monotonic, proc: Path = Path("/proc")) -> None:
        self._root = root
        self._clock = clock
        self._proc = proc
        self._next_look_s = clock() + LOOK_INTERVAL_S
        self._seen: dict[int, _Progress] = {}
        self.ended = 0

    def look(self) -> None:
        """Look at the probes once LOOK_INTERVAL_S has gone by since the last time; call as often as you like."""
        if self._clock() < self._next_look_s:
            return
        self._next_look_s = self._clock() + LOOK_INTERVAL_S
        self._seen = {pid: self._progress(pid) for pid in probes_below(self._root, self._proc)}
        for pid, progress in self._seen.items():
            if progress.looks >= LOOKS:
                _log.warning("probe: QEMU (pid %d), which libvirt asks what it can do, stands still and is ended", pid)
                self.ended += 1
                _kill(pid)

    def asked_again(self, ask: Callable[[], T], failure: type[Exception]) -> T:
        """Ask libvirt, and once more where that failed because a probe was ended: it starts a new one then."""
        ended = self.ended
        try:
            return ask()
        except failure as error:
            if self.ended == ended or isinstance(error, DeadlineExceeded):
                raise
            _log.warning("once more: %s", error)
            return ask()

    def _progress(self, pid: int) -> _Progress:
        before = self._seen.get(pid)
        threads = tuple(_threads(self._proc / str(pid)))
        ticks = sum(ticks for _state, ticks in threads)
        stands = before is not None and before.ticks == ticks and all(state in _STANDING for state, _ticks in threads)
        return _Progress(ticks=ticks, looks=before.looks + 1 if stands and before else 0)


def end_probes(root: Path) -> None:
    """End the probes below a root once nobody is left who waits for their answer, and remove their folders.

    A launcher that was killed meanwhile leaves one for good, and so does one that has given up.
    """
    folders = tuple((root / "lib" / "qemu").glob("qmp-*"))
    for pid in probes_below(root) if folders else ():
        _kill(pid)
    for folder in folders:
        remove_tree(folder)


def probes_below(root: Path, proc: Path = Path("/proc")) -> tuple[int, ...]:
    """Return the pids of the probes below this root."""
    return tuple(pid for pid, command in command_lines(proc) if is_probe(command, root))


def is_probe(command: bytes, root: Path) -> bool:
    """Tell whether this is the command line of a probe below this root: its monitor's socket says so."""
    return os.fsencode(root / "lib" / "qemu" / "qmp-") in command


def _threads(process: Path) -> Iterator[tuple[str, int]]:
    """Yield the state and the processor time in ticks of each thread (proc_pid_stat(5)), none of one that has ended."""
    for path in process.glob("task/*/stat"):
        with suppress(OSError):
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
            yield fields[0], int(fields[11]) + int(fields[12])


def _kill(pid: int) -> None:
    with suppress(OSError):
        os.kill(pid, signal.SIGKILL)
