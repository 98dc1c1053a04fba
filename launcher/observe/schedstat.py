"""What the scheduler has counted for threads: run time, time waited for a CPU, and the CPU last run on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

_NS_PER_S = 1_000_000_000
# Fields of /proc/<pid>/stat (proc_pid_stat(5)) counted behind the name in parentheses, which may hold anything.
_UTIME = 14 - 3
_STIME = 15 - 3
_PROCESSOR = 39 - 3


class ThreadTimes(Struct, frozen=True, kw_only=True):
    """One thread at one moment; the times are in seconds since its start.

    `waited_s` is the time that it could have run and no CPU was free for it (run-queue delay). Both are None where the
    kernel does not count: CONFIG_SCHED_INFO is missing, or schedstat cannot be read.
    """

    last_cpu: int
    ran_s: float | None
    waited_s: float | None


def read_thread_times(pid: int, tids: Iterable[int], proc: str = "/proc") -> Mapping[int, ThreadTimes]:
    """Read the times of these threads of a process by thread id; those that have ended meanwhile are left out.

    Two small files a thread, which no lock of QEMU can hold up: to be read when somebody asks, not at every look.
    """
    read = ((tid, read_times(f"{proc}/{pid}/task/{tid}")) for tid in tids)
    return {tid: times for tid, times in read if times is not None}


def read_times(folder: str) -> ThreadTimes | None:
    """Read the times of the thread with this folder below /proc; None where it has ended or is not ours to read."""
    fields = read_stat(folder)
    if fields is None:
        return None
    ran_s, waited_s = _read_schedstat(folder, has_run=int(fields[_UTIME]) + int(fields[_STIME]) > 0)
    return ThreadTimes(last_cpu=last_cpu_of(fields), ran_s=ran_s, waited_s=waited_s)


def read_stat(folder: str) -> list[bytes] | None:
    """Return the fields of a thread's `stat` from the third on (its state); None where it has ended."""
    text = _read(f"{folder}/stat")
    fields = text.rpartition(b")")[2].split() if text else []
    return fields if len(fields) > _PROCESSOR else None


def last_cpu_of(fields: list[bytes]) -> int:
    """Return the CPU that a thread last ran on, from the fields of its `stat`."""
    return int(fields[_PROCESSOR])


def _read_schedstat(folder: str, *, has_run: bool) -> tuple[float | None, float | None]:
    """Read "ran waited slices", in ns (Documentation/scheduler/sched-stats.rst).

    A kernel that does not count writes zeros, for threads that have run, too (fs/proc/base.c, proc_pid_schedstat).
    """
    numbers = (_read(f"{folder}/schedstat") or b"").split()
    if len(numbers) < 3 or (has_run and numbers[:3] == [b"0", b"0", b"0"]):
        return None, None
    return int(numbers[0]) / _NS_PER_S, int(numbers[1]) / _NS_PER_S


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - hundreds of small files, so not through Path
            return file.read()
    except OSError:
        return None
