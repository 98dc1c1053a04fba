"""What the kernel says of a process, and the end of one, awaited without polling."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from pathlib import Path

# Nothing that is measured here takes nearly as long: whoever waits longer waits for something that does not come.
PATIENCE_S = 60.0


class BenchError(Exception):
    """Something that was to be measured did not happen; the message says what."""


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of all threads of a process, those that ended, too, to the nanosecond.

    The clock id is that of clock_getcpuclockid(3): the complement of the pid, and CPUCLOCK_SCHED.
    """
    return time.clock_gettime((~pid << 3) | 2)


def resident_mib(pid: int) -> float:
    """Return VmRSS (proc(5), status)."""
    return _kib_field(Path(f"/proc/{pid}/status"), "VmRSS") / 1024


def proportional_mib(pid: int) -> float:
    """Return Pss (proc(5), smaps_rollup): pages that others map, too, are counted by their share."""
    return _kib_field(Path(f"/proc/{pid}/smaps_rollup"), "Pss") / 1024


def _kib_field(path: Path, name: str) -> float:
    for line in path.read_text().splitlines():
        field, _, value = line.partition(":")
        if field == name:
            return float(value.split()[0])
    raise BenchError(f"{path}: no {name}")


def thread_named(pid: int, beginning: str) -> int:
    """Return the id of the first thread whose name begins so."""
    for comm in sorted(Path(f"/proc/{pid}/task").glob("*/comm")):
        if comm.read_text().startswith(beginning):
            return int(comm.parent.name)
    raise BenchError(f"process {pid} has no thread {beginning!r}")


def wait_for_end(process: subprocess.Popen[str], timeout_s: float = PATIENCE_S) -> float:
    """Wait for the end of a child and return when it was seen (monotonic seconds).

    Popen.wait with a timeout looks at intervals of up to 50 ms; a pidfd (pidfd_open(2)) wakes at once.
    """
    pidfd = os.pidfd_open(process.pid)
    try:
        if not select.select([pidfd], [], [], timeout_s)[0]:
            raise BenchError(f"process {process.pid} did not end within {timeout_s:g} s")
        return time.monotonic()
    finally:
        os.close(pidfd)


def end(process: subprocess.Popen[str]) -> None:
    """Kill a child, where it has not ended, and reap it."""
    if process.poll() is None:
        process.kill()
    process.wait()


def kill(pid: int) -> None:
    """Kill a process that may have ended already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
