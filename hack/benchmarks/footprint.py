"""What supervision costs: resident memory, CPU time, and where the launcher's threads may run."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise, starmap
from pathlib import Path

from hack.benchmarks.launcher import LaunchedGuest, launched
from hack.benchmarks.processes import cpu_seconds, proportional_mib, resident_mib, thread_named
from hack.benchmarks.samples import Samples
from hack.benchmarks.table import Row, Section
from hack.benchmarks.workplace import Workplace

_MANY = 64
# The start is over, and the firmware has found that there is nothing to boot.
_QUIET_AFTER_S = 5.0
# The time of watching is read in so many windows, for a median.
_WINDOWS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one launcher has used up to now, and what it holds."""

    at_s: float
    cpu_s: float
    resident_mib: float
    proportional_mib: float


def measure_footprint(workplace: Workplace, duration_s: float) -> tuple[Section, ...]:
    """Watch three launchers over idle guests at the same time: each one's own clock counts its CPU time."""
    guests = {
        "2 vCPU threads": workplace.write_manifest("two", cores=2, dedicated=False),
        f"{_MANY} vCPU threads": workplace.write_manifest("many", cores=_MANY, dedicated=False),
        "1 dedicated vCPU": workplace.write_manifest("one", cores=1, dedicated=True),
    }
    with ExitStack() as stack:
        started = {
            name: stack.enter_context(launched(vmi, workplace.root(vmi.stem[0]))) for name, vmi in guests.items()
        }
        for guest in started.values():
            guest.wait_until_running()
        time.sleep(_QUIET_AFTER_S)
        readings = {name: [_read(guest)] for name, guest in started.items()}
        for _window in range(_WINDOWS):
            time.sleep(duration_s / _WINDOWS)
            for name, guest in started.items():
                readings[name].append(_read(guest))
        sections = (
            _memory_section(readings),
            _cpu_section(readings, duration_s),
            _confinement_section(started["1 dedicated vCPU"]),
        )
        for guest in started.values():
            guest.stop()
    return sections


def _read(guest: LaunchedGuest) -> Reading:
    pid = guest.process.pid
    return Reading(
        at_s=time.monotonic(),
        cpu_s=cpu_seconds(pid),
        resident_mib=resident_mib(pid),
        proportional_mib=proportional_mib(pid),
    )


def _memory_section(readings: dict[str, list[Reading]]) -> Section:
    rows: list[Row] = []
    for name, taken in readings.items():
        resident = Samples(values=tuple(reading.resident_mib for reading in taken))
        proportional = Samples(values=tuple(reading.proportional_mib for reading in taken))
        rows.append(Row(what=f"VmRSS, {name}", samples=resident, unit="MiB", target=45))
        rows.append(Row(what=f"Pss, {name}", samples=proportional, unit="MiB"))
    return Section(title="resident memory while supervising", rows=tuple(rows))


def _cpu_section(readings: dict[str, list[Reading]], duration_s: float) -> Section:
    rows = tuple(
        Row(what=name, samples=Samples(values=tuple(starmap(_percent, pairwise(taken)))), unit="%", target=0.1)
        for name, taken in readings.items()
    )
    return Section(title=f"CPU while supervising an idle guest, of one CPU, over {duration_s:g} s", rows=rows)


def _percent(before: Reading, after: Reading) -> float:
    return 100 * (after.cpu_s - before.cpu_s) / (after.at_s - before.at_s)


def _confinement_section(guest: LaunchedGuest) -> Section:
    """Count the launcher's threads that might run on the CPU of the one vCPU."""
    vcpu = os.sched_getaffinity(thread_named(guest.qemu_pid(), "CPU 0/"))
    threads = [int(path.name) for path in Path(f"/proc/{guest.process.pid}/task").iterdir()]
    meeting = sum(bool(os.sched_getaffinity(thread) & vcpu) for thread in threads)
    row = Row(what=f"of the launcher's {len(threads)} threads", samples=Samples(values=(meeting,)), unit="", target=0)
    return Section(title="threads of the launcher that may run on a vCPU's CPU", rows=(row,))
