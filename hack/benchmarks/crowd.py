"""Many launchers on one node: what each holds and costs as their number grows, and the start of many at once.

The floor is the bare program, held as often as the fewest launchers, once these have ended.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hack.benchmarks.launcher import LaunchedGuest, StartedGuest, held_barely, launched, render
from hack.benchmarks.processes import cpu_seconds, proportional_mib
from hack.benchmarks.samples import Samples
from hack.benchmarks.table import Row, Section
from hack.benchmarks.workplace import Workplace

# How many there are when they are looked at.
SIZES = (10, 30, 100)
# So many are started at a time: more than this machine has CPUs for.
_AT_ONCE = 20
# The starts are over, and each guest's firmware has found that there is nothing to boot.
_QUIET_AFTER_S = 15.0
# What one of many may hold or cost more than one of few: two readings of the same differ by so much.
_NO_MORE = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one launcher holds, and the share of a CPU that it has had while it was watched."""

    proportional_mib: float
    cpu_percent: float
    descriptors: int
    watches: int


def measure_crowd(workplace: Workplace, duration_s: float) -> tuple[Section, ...]:
    """Start ever more launchers over idle guests, and watch all of them at each size."""
    shares: dict[int, list[Share]] = {}
    with ExitStack() as stack:
        crowd = _Crowd(workplace, stack)
        # The first one learns what QEMU can do.
        crowd.grow(1)
        alone_s = crowd.grow(1)
        for size in SIZES:
            while (missing := size - len(crowd.guests)) > 0:
                last_s = crowd.grow(min(missing, _AT_ONCE))
            shares[size] = _watch(crowd.guests, duration_s)
        starts = _starts(alone_s, last_s)
        for guest in crowd.guests:
            guest.stop()
        floor = _watch(crowd.hold_barely(SIZES[0]), duration_s)
    return (*_sections(shares, floor, duration_s), starts)


class _Crowd:
    """The launchers that run, each over a root of its own; what libvirt learnt of QEMU all have from the first."""

    def __init__(self, workplace: Workplace, stack: ExitStack) -> None:
        self._workplace = workplace
        self._stack = stack
        self.guests: list[LaunchedGuest] = []

    def grow(self, more: int) -> float:
        """Start so many at once, and return the seconds until the last one runs."""
        begun_s = time.monotonic()
        started = [self._start(len(self.guests) + number) for number in range(more)]
        self.guests += started
        for guest in started:
            guest.wait_until_running()
        return time.monotonic() - begun_s

    def hold_barely(self, count: int) -> list[StartedGuest]:
        """Start the first of them again, by the bare program: all launchers have ended by then."""
        places = [self._manifest_and_root(number) for number in range(count)]
        started = [self._stack.enter_context(held_barely(render(vmi, root), root)) for vmi, root in places]
        for guest in started:
            guest.wait_until_running()
        return list(started)

    def _start(self, number: int) -> LaunchedGuest:
        vmi, root = self._manifest_and_root(number)
        first = self._workplace.root("r0")
        if number:
            root.mkdir(mode=0o700)
            shutil.copytree(first / "cache", root / "cache")
        return self._stack.enter_context(launched(vmi, root))

    def _manifest_and_root(self, number: int) -> tuple[Path, Path]:
        vmi = self._workplace.write_manifest(f"g{number}", cores=1, dedicated=False, memory="32Mi")
        return vmi, self._workplace.root(f"r{number}")


def _watch(guests: Sequence[StartedGuest], duration_s: float) -> list[Share]:
    time.sleep(_QUIET_AFTER_S)
    before_s = [(time.monotonic(), cpu_seconds(guest.process.pid)) for guest in guests]
    time.sleep(duration_s)
    return [_share(guest.process.pid, *before) for guest, before in zip(guests, before_s, strict=True)]


def _share(pid: int, since_s: float, cpu_s: float) -> Share:
    percent = 100 * (cpu_seconds(pid) - cpu_s) / (time.monotonic() - since_s)
    descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    return Share(
        proportional_mib=proportional_mib(pid),
        cpu_percent=percent,
        descriptors=len(descriptors),
        watches=sum(map(_watches, descriptors)),
    )


def _watches(descriptor: Path) -> int:
    """Return how many files an inotify instance watches (proc(5), fdinfo)."""
    try:
        if descriptor.readlink() != Path("anon_inode:inotify"):
            return 0
        return (descriptor.parent.parent / "fdinfo" / descriptor.name).read_text().count("inotify wd:")
    except FileNotFoundError:
        return 0


def _sections(shares: dict[int, list[Share]], floor: list[Share], duration_s: float) -> tuple[Section, ...]:
    """Return what each holds and costs; of two sizes their ratio: one of many is no dearer than one of few."""
    memory = _grown("Pss each", "MiB", {size: _memory(of) for size, of in shares.items()}, _memory(floor))
    cpu = _grown("CPU each", "%", {size: _cpu(of) for size, of in shares.items()}, _cpu(floor))
    held = shares[SIZES[-1]]
    files = (
        Row(what="descriptors each", samples=Samples(values=tuple(one.descriptors for one in held)), unit=""),
        Row(what="inotify watches each", samples=Samples(values=tuple(one.watches for one in held)), unit=""),
        Row(what="CPU of all together", samples=Samples(values=(sum(one.cpu_percent for one in held),)), unit="%"),
    )
    return (
        Section(title=f"many launchers on one node, over {duration_s:g} s", rows=(*memory, *cpu)),
        Section(title=f"all {SIZES[-1]} of them", rows=files),
    )


def _memory(of: list[Share]) -> Samples:
    return Samples(values=tuple(one.proportional_mib for one in of))


def _cpu(of: list[Share]) -> Samples:
    return Samples(values=tuple(one.cpu_percent for one in of))


def _grown(what: str, unit: str, samples: dict[int, Samples], floor: Samples) -> tuple[Row, ...]:
    """Return a row of each size, and how much dearer one of the most is; the floor is that of the fewest."""
    few, many = SIZES[0], SIZES[-1]
    growth = Samples(values=(samples[many].median / samples[few].median,))
    return (
        *(
            Row(what=f"{what}, of {size}", samples=found, unit=unit, floor=floor if size == few else None)
            for size, found in samples.items()
        ),
        Row(what=f"{what}, of {many} against of {few}", samples=growth, unit="x", target=_NO_MORE),
    )


def _starts(alone_s: float, last_s: float) -> Section:
    each = Samples(values=(last_s / _AT_ONCE / alone_s,))
    rows = (
        Row(what="one alone", samples=Samples(values=(alone_s,)), unit="s"),
        Row(what=f"the last of {_AT_ONCE} at once", samples=Samples(values=(last_s,)), unit="s"),
        Row(what="each of them against one alone", samples=each, unit="x"),
    )
    return Section(title=f"{_AT_ONCE} starts at once, beside {SIZES[-1] - _AT_ONCE} that run", rows=rows)
