"""What supervision costs: resident memory, CPU time, and where the launcher's threads may run."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hack.benchmarks.launcher import LaunchedGuest, launched
from hack.benchmarks.processes import cpu_seconds, proportional_mib, resident_mib, thread_named
from hack.benchmarks.samples import Samples
from hack.benchmarks.table import Row, Section
from hack.benchmarks.workplace import Workplace

_MANY = 64
# The start is over, and the firmware has found that there is nothing to boot.
_QUIET_AFTER_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one launcher has used up to now."""

    at_s: float
    cpu_s: float


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
        before = {name: _read(guest) for name, guest in started.items()}
        time.sleep(duration_s)
        sections = (
            _memory_section(started),
            _cpu_section(started, before, duration_s),
            _confinement_section(started["1 dedicated vCPU"]),
        )
        for guest in started.values():
            guest.stop()
    return sections


def _read(guest: LaunchedGuest) -> Reading:
    return Reading(at_s=time.monotonic(), cpu_s=cpu_seconds(guest.process.pid))


def _memory_section(guests: dict[str, LaunchedGuest]) -> Section:
    rows: list[Row] = []
    for name, guest in guests.items():
        resident = Samples(values=(resident_mib(guest.process.pid),))
        proportional = Samples(values=(proportional_mib(guest.process.pid),))
        rows.append(Row(what=f"VmRSS, {name}", samples=resident, unit="MiB", target=45))
        rows.append(Row(what=f"Pss, {name}", samples=proportional, unit="MiB"))
    return Section(title="resident memory while supervising", rows=tuple(rows))


def _cpu_section(guests: dict[str, LaunchedGuest], before: dict[str, Reading], duration_s: float) -> Section:
    rows = tuple(
        Row(what=name, samples=Samples(values=(_percent(before[name], _read(guest)),)), unit="%", target=0.1)
        for name, guest in guests.items()
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
