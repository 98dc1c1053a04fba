"""What supervision costs: resident memory, CPU time, and where the launcher's threads may run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise, starmap
from pathlib import Path

from hack.benchmarks.launcher import LaunchedGuest, StartedGuest, held_barely, launched, render
from hack.benchmarks.processes import cpu_seconds, proportional_mib, resident_mib, thread_named
from hack.benchmarks.reaction import seconds_to_repair
from hack.benchmarks.samples import Samples
from hack.benchmarks.table import Row, Section
from hack.benchmarks.workplace import Workplace
from launcher.supervise.pace import ALERT_S

_TWO, _MANY, _ONE = "2 vCPU threads", "64 vCPU threads", "1 dedicated vCPU"
# The share of a CPU that each may take.
_IDLE_PERCENT = {_TWO: 0.02, _MANY: 0.05, _ONE: 0.02}
# The start is over, the firmware has found that there is nothing to boot, and the watch has come to its quiet pace.
_QUIET_AFTER_S = 15.0 + ALERT_S
# The time of watching is read in so many windows, for a median.
_WINDOWS = 6
_BARE = "the bare program"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one launcher has used up to now, and what it holds."""

    at_s: float
    cpu_s: float
    resident_mib: float
    proportional_mib: float


def measure_footprint(workplace: Workplace, duration_s: float) -> tuple[Section, ...]:
    """Watch three launchers and the bare program over idle guests at the same time: each one's clock counts its own."""
    guests = {
        _TWO: workplace.write_manifest("two", cores=2, dedicated=False),
        _MANY: workplace.write_manifest("many", cores=64, dedicated=False),
        _ONE: workplace.write_manifest("one", cores=1, dedicated=True),
    }
    with ExitStack() as stack:
        started = {
            name: stack.enter_context(launched(vmi, workplace.root(vmi.stem[0]))) for name, vmi in guests.items()
        }
        bare = stack.enter_context(_bare_guest(workplace))
        for launcher in started.values():
            launcher.wait_until_running()
        time.sleep(_QUIET_AFTER_S)
        watched: dict[str, StartedGuest] = {**started, _BARE: bare}
        readings = {name: [_read(guest)] for name, guest in watched.items()}
        for _window in range(_WINDOWS):
            time.sleep(duration_s / _WINDOWS)
            for name, guest in watched.items():
                readings[name].append(_read(guest))
        floor = readings.pop(_BARE)
        sections = (
            _memory_section(readings, floor),
            _cpu_section(readings, floor, duration_s),
            _confinement_section(started[_ONE]),
            _first_drift_section(started),
        )
        for guest in watched.values():
            guest.stop()
    return sections


@contextmanager
def _bare_guest(workplace: Workplace) -> Iterator[StartedGuest]:
    """Hold a guest of two vCPUs by the bare program, over a root that a launcher has used."""
    vmi, root = workplace.write_manifest("bare", cores=2, dedicated=False), workplace.root("b")
    with launched(vmi, root) as guest:
        guest.wait_until_running()
        guest.stop()
    with held_barely(render(vmi, root), root) as bare:
        bare.wait_until_running()
        yield bare


def _read(guest: StartedGuest) -> Reading:
    pid = guest.process.pid
    return Reading(
        at_s=time.monotonic(),
        cpu_s=cpu_seconds(pid),
        resident_mib=resident_mib(pid),
        proportional_mib=proportional_mib(pid),
    )


def _memory_section(readings: dict[str, list[Reading]], floor: list[Reading]) -> Section:
    rows: list[Row] = []
    for name, taken in readings.items():
        resident = Row(what=f"VmRSS, {name}", samples=_resident(taken), unit="MiB", target=40, floor=_resident(floor))
        proportional = Row(
            what=f"Pss, {name}", samples=_proportional(taken), unit="MiB", target=20, floor=_proportional(floor)
        )
        rows += (resident, proportional)
    return Section(title="resident memory while supervising", rows=tuple(rows))


def _resident(taken: list[Reading]) -> Samples:
    return Samples(values=tuple(reading.resident_mib for reading in taken))


def _proportional(taken: list[Reading]) -> Samples:
    return Samples(values=tuple(reading.proportional_mib for reading in taken))


def _cpu_section(readings: dict[str, list[Reading]], floor: list[Reading], duration_s: float) -> Section:
    rows = tuple(
        Row(what=name, samples=_shares(taken), unit="%", target=_IDLE_PERCENT[name], floor=_shares(floor))
        for name, taken in readings.items()
    )
    return Section(title=f"CPU while supervising an idle guest, of one CPU, over {duration_s:g} s", rows=rows)


def _shares(taken: list[Reading]) -> Samples:
    return Samples(values=tuple(starmap(_percent, pairwise(taken))))


def _percent(before: Reading, after: Reading) -> float:
    return 100 * (after.cpu_s - before.cpu_s) / (after.at_s - before.at_s)


def _first_drift_section(started: dict[str, LaunchedGuest]) -> Section:
    """Move a thread of each guest in which nothing has moved for long: the watch has come to its quiet pace."""
    repaired_s = tuple(seconds_to_repair(guest.qemu_pid(), "CPU 0/") for guest in started.values())
    row = Row(
        what="from an outside taskset to repaired, the first after a minute",
        samples=Samples(values=repaired_s),
        unit="s",
        target=0.3,
        by_worst=True,
    )
    return Section(title="reaction of a watch that has come to its quiet pace", rows=(row,))


def _confinement_section(guest: LaunchedGuest) -> Section:
    """Count the launcher's threads that might run on the CPU of the one vCPU."""
    vcpu = os.sched_getaffinity(thread_named(guest.qemu_pid(), "CPU 0/"))
    threads = [int(path.name) for path in Path(f"/proc/{guest.process.pid}/task").iterdir()]
    meeting = sum(bool(os.sched_getaffinity(thread) & vcpu) for thread in threads)
    row = Row(what=f"of the launcher's {len(threads)} threads", samples=Samples(values=(meeting,)), unit="", target=0)
    return Section(title="threads of the launcher that may run on a vCPU's CPU", rows=(row,))
