"""One run of a node: QEMU as a child that never outlives this process, its output shown as it comes, its end judged."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hack.nodes.beside import ALONE, Beside
from hack.nodes.commands import last_lines
from hack.nodes.errors import EmulatorAtFault, NodeError
from hack.nodes.machine import Outlets

# What a node may need, beside its command's time, to boot and to write its results: 10 to 20 s on a machine with two
# CPUs and nothing else to do, a minute and more on a busy one.
AROUND_S = 300
# A node is up after 5 to 20 s, after a minute and more on a busy machine.
UP_S = 240
# Then it gives a sign of life every half minute (node-init); a node that only has much to do is late by seconds.
SILENT_S = 300
_LOOK_S = 0.25
# What the kernel ends a program by that is broken itself; whoever ends QEMU does it otherwise.
_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)
_QEMU = "qemu-system-x86_64"
_AT_ONCE = 65536
_SHOWN_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a node ended, by its own word: its command's status, and whether its results were written."""

    status: int
    has_results: bool


def boot(
    arguments: Callable[[Outlets], tuple[str, ...]],
    work: Path,
    limit_s: float,
    show: Callable[[bytes], None],
    *,
    beside: Beside = ALONE,
    up_s: float = UP_S,
    silent_s: float = SILENT_S,
) -> Ended:
    """Run a node to its end and hand on what its command prints; raises NodeError where it does not end by itself.

    It is EmulatorAtFault where QEMU crashes, or the node is not up after `up_s` seconds, or then gives no sign of life
    for `silent_s`. A node ends at once where something that runs beside it does. In `work` the kernel's console, the
    node's status and what QEMU says are left, as `console`, `status` and `qemu`.
    """
    reading, writing = os.pipe()
    outlets = Outlets(output_fd=writing, console=work / "console", status=work / "status")
    with os.fdopen(reading, "rb", buffering=0) as output, (work / "qemu").open("wb") as log:
        try:
            qemu = start_qemu(arguments(outlets), beside, pass_fds=(writing,), stdin=subprocess.DEVNULL, stderr=log)
        finally:
            os.close(writing)
        with (
            killed_in_the_end(qemu),
            _killed_after(limit_s, qemu) as exceeded,
            killed_when(_stillness(work, up_s, silent_s), qemu) as still,
            killed_when(beside.fault, qemu) as lost,
        ):
            # The pipe is closed by QEMU's end, and by nothing else.
            while text := output.read(_AT_ONCE):
                show(text)
            qemu.wait()
    if lost:
        raise NodeError(lost[0])
    if still:
        raise EmulatorAtFault(still[0])
    return judge(work, qemu.returncode, limit_s if exceeded.is_set() else None)


def start_qemu(
    arguments: tuple[str, ...],
    beside: Beside = ALONE,
    *,
    pass_fds: tuple[int, ...] = (),
    stdin: int | None = None,
    stderr: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start QEMU, which the kernel kills as soon as this process is no more (setpriv(1), --pdeathsig)."""
    command = (*beside.within, "setpriv", "--pdeathsig", "KILL", _QEMU, *arguments)
    return subprocess.Popen(command, pass_fds=pass_fds, stdin=stdin, stderr=stderr)


@contextmanager
def killed_in_the_end(qemu: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill and reap QEMU in the end, whatever comes between."""
    try:
        yield
    finally:
        qemu.kill()
        qemu.wait()


@contextmanager
def _killed_after(limit_s: float, qemu: subprocess.Popen[bytes]) -> Iterator[threading.Event]:
    """Kill QEMU once it has had its time, also while nobody takes what it prints; the event says that it was so."""
    exceeded = threading.Event()

    def kill() -> None:
        exceeded.set()
        qemu.kill()

    timer = threading.Timer(limit_s, kill)
    timer.start()
    try:
        yield exceeded
    finally:
        timer.cancel()


@contextmanager
def killed_when(look: Callable[[], str], qemu: subprocess.Popen[bytes]) -> Iterator[list[str]]:
    """Kill QEMU once a look, taken again and again, returns words; the list then holds them."""
    seen: list[str] = []
    is_over = threading.Event()

    def watch() -> None:
        while not seen and not is_over.wait(_LOOK_S):
            if words := look():
                seen.append(words)
                qemu.kill()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        is_over.set()
        watcher.join()


def _stillness(work: Path, up_s: float, silent_s: float) -> Callable[[], str]:
    """Return the look at a node that does not come up, or that stands still later."""
    heard, heard_s, is_up = 0, time.monotonic(), False

    def look() -> str:
        nonlocal heard, heard_s, is_up
        told = len(_read(work / "status"))
        if told != heard:
            heard, heard_s, is_up = told, time.monotonic(), _is_up(work)
        if time.monotonic() - heard_s < (silent_s if is_up else up_s):
            return ""
        return f"the node gave no sign of life for {silent_s:g} s" if is_up else f"the node was not up after {up_s:g} s"

    return look


def judge(work: Path, qemu_status: int, exceeded_s: float | None) -> Ended:
    """Return how the node ended; raises NodeError with what was seen last where it did not say so itself."""
    told = _lines(work / "status")
    for line in told:
        word, _, number = line.partition(" ")
        if word == "exit":
            return Ended(status=int(number), has_results="unwritten" not in told)
    stage = "after it was up" if _is_up(work) else "before it was up"
    if exceeded_s is not None:
        raise NodeError(f"the node was killed {stage}: {exceeded_s:g} s had passed")
    if qemu_status != 0:
        message = f"QEMU ended with status {qemu_status} {stage}: {last_lines(_read(work / 'qemu'))}"
        raise (EmulatorAtFault if -qemu_status in _CRASHES else NodeError)(message)
    panics = (line for line in _lines(work / "console") if "Kernel panic" in line)
    raise NodeError(f"the node went down {stage}: {next(panics, 'without a word')}")


def console_end(work: Path) -> tuple[str, ...]:
    """Return the last lines of the node's console, for people."""
    return _lines(work / "console")[-_SHOWN_LINES:]


def _is_up(work: Path) -> bool:
    return "up" in _lines(work / "status")


def _lines(path: Path) -> tuple[str, ...]:
    return tuple(_read(path).decode(errors="replace").splitlines())


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
