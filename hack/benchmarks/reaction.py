"""How soon the launcher reacts: a changed affinity is repaired, and QEMU's death is followed by its own."""

from __future__ import annotations

import os
import time

from hack.benchmarks.launcher import StartedGuest, held_barely, launched, render
from hack.benchmarks.processes import PATIENCE_S, BenchError, kill, thread_named, wait_for_end
from hack.benchmarks.samples import Samples
from hack.benchmarks.table import Row, Section
from hack.benchmarks.workplace import Workplace

_POLL_S = 0.001
# A repair happens when the launcher looks; the next drift falls on another moment between two looks each time.
_PAUSE_STEP_S = 0.11
# By then a guest's start is over.
_SETTLED_AFTER_S = 1.0


def measure_reaction(workplace: Workplace, guests: int, drifts: int) -> Section:
    """Move the vCPU of an idle guest several times, then kill its QEMU; all of that with several guests."""
    vmi = workplace.write_manifest("reaction", cores=1, dedicated=True)
    repaired_s: list[float] = []
    ended_s: list[float] = []
    bare_ended_s: list[float] = []
    root = workplace.root("r")
    xml = render(vmi, root)
    for _guest in range(guests):
        with launched(vmi, root) as guest:
            guest.wait_until_running()
            for drift in range(drifts):
                time.sleep(drift * _PAUSE_STEP_S)
                repaired_s.append(seconds_to_repair(guest.qemu_pid(), "CPU 0/"))
            ended_s.append(_seconds_to_end(guest))
        with held_barely(xml, root) as bare:
            bare.wait_until_running()
            time.sleep(_SETTLED_AFTER_S)
            bare_ended_s.append(_seconds_to_end(bare))
    return Section(
        title="reaction",
        rows=(
            Row(
                what="from an outside taskset to repaired, one soon after another",
                samples=Samples(values=tuple(repaired_s)),
                unit="s",
                target=0.3,
                by_worst=True,
            ),
            Row(
                what="from SIGKILL of QEMU to the launcher's exit",
                samples=Samples(values=tuple(ended_s)).times(1000),
                unit="ms",
                target=50,
                floor=Samples(values=tuple(bare_ended_s)).times(1000),
            ),
        ),
    )


def seconds_to_repair(pid: int, name: str) -> float:
    """Give a thread of QEMU's another CPU, as taskset would, and wait until it has its own again."""
    thread = thread_named(pid, name)
    planned = os.sched_getaffinity(thread)
    others = os.sched_getaffinity(0) - planned or {min(planned)}
    started_s = time.monotonic()
    os.sched_setaffinity(thread, others)
    while os.sched_getaffinity(thread) != planned:
        if time.monotonic() > started_s + PATIENCE_S:
            raise BenchError(f"thread {thread} was moved to CPU {sorted(others)} and never put back")
        time.sleep(_POLL_S)
    return time.monotonic() - started_s


def _seconds_to_end(guest: StartedGuest) -> float:
    pid = guest.qemu_pid()
    started_s = time.monotonic()
    kill(pid)
    return wait_for_end(guest.process) - started_s
