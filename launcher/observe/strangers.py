"""The strangers: threads of other processes that run on CPUs which a guest was promised for itself."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from launcher.cpuset import CPUSet
from launcher.observe.schedstat import last_cpu_of, read_stat, read_times

# A look at a thread takes about 20 us; a node with more threads than this is not gone through to the end.
MOST_THREADS = 20_000
# include/linux/sched.h; the field of /proc/<pid>/stat behind the name.
_PF_KTHREAD = 0x00200000
_FLAGS = 9 - 3


class Sighting(Struct, frozen=True, kw_only=True):
    """One thread whose last CPU is one of those looked at."""

    pid: int
    tid: int
    name: str
    cpu: int
    is_kernel: bool
    ran_s: float | None


class Look(Struct, frozen=True, kw_only=True):
    """Every thread seen on the CPUs at one moment, by thread id; `is_whole` is False where there were too many."""

    sightings: Mapping[int, Sighting] = field(default_factory=dict)
    is_whole: bool = True


class Stranger(Struct, frozen=True, kw_only=True):
    """A thread that ran on one of the CPUs between two looks, and for how long; None: it came there in between."""

    sighting: Sighting
    ran_s: float | None


def look(cpus: CPUSet, *, except_pid: int, proc: str = "/proc", most_threads: int = MOST_THREADS) -> Look:
    """Find the threads whose last CPU is one of these, of every process that can be seen here but one."""
    sightings: dict[int, Sighting] = {}
    for number, (pid, tid) in enumerate(_threads(proc, except_pid)):
        if number >= most_threads:
            return Look(sightings=sightings, is_whole=False)
        sighting = _sight(pid, tid, f"{proc}/{pid}/task/{tid}", cpus)
        if sighting is not None:
            sightings[tid] = sighting
    return Look(sightings=sightings)


def strangers(before: Look, after: Look) -> tuple[Stranger, ...]:
    """Return who ran on the CPUs between two looks, programs before the kernel's own threads, the busiest first."""
    found = (_stranger(before, sighting) for sighting in after.sightings.values())
    return tuple(sorted((one for one in found if one is not None), key=_order))


def _stranger(before: Look, now: Sighting) -> Stranger | None:
    earlier = before.sightings.get(now.tid)
    if earlier is None:
        # A last CPU changes only by running there.
        return Stranger(sighting=now, ran_s=None) if before.is_whole else None
    if now.ran_s is None or earlier.ran_s is None or now.ran_s <= earlier.ran_s:
        return None
    return Stranger(sighting=now, ran_s=now.ran_s - earlier.ran_s)


def _order(stranger: Stranger) -> tuple[bool, float, int]:
    return stranger.sighting.is_kernel, -(stranger.ran_s or 0.0), stranger.sighting.tid


def _threads(proc: str, except_pid: int) -> Iterator[tuple[int, int]]:
    for pid in _numbers(proc):
        if pid != except_pid:
            yield from ((pid, tid) for tid in _numbers(f"{proc}/{pid}/task"))


def _numbers(folder: str) -> list[int]:
    try:
        return sorted(int(entry) for entry in os.listdir(folder) if entry.isdigit())  # noqa: PTH208 - thousands of them
    except OSError:
        return []


def _sight(pid: int, tid: int, folder: str, cpus: CPUSet) -> Sighting | None:
    fields = read_stat(folder)
    times = read_times(folder) if fields is not None and last_cpu_of(fields) in cpus else None
    if fields is None or times is None:
        return None
    return Sighting(
        pid=pid,
        tid=tid,
        name=_name(folder),
        cpu=times.last_cpu,
        is_kernel=bool(int(fields[_FLAGS]) & _PF_KTHREAD),
        ran_s=times.ran_s,
    )


def _name(folder: str) -> str:
    try:
        with open(f"{folder}/comm", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - paths of /proc are text
            return file.read().rstrip("\n")
    except OSError:
        return "?"
