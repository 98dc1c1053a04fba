"""QEMU's threads as the kernel shows them, and the confinement of the launcher's own."""

from __future__ import annotations

import os
from contextlib import suppress

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.supervise.roles import ObservedThread, Role, classify
from launcher.supervise.vhost import VhostThreads

# What /proc/<pid>/stat holds at most, some fifty numbers.
_STAT_BYTES = 4096


class ThreadObserver:
    """Looks at the threads of one process again and again; between two looks a glance tells whether one is needed.

    vhost's kernel threads are among them, inside QEMU or beside it. Where a look finds nothing changed, it returns the
    very same tuple as before, so that its reader need not compare.
    """

    def __init__(self, pid: int, proc: str = "/proc") -> None:
        self._pid = pid
        self._tasks = f"{proc}/{pid}/task"
        self._proc = proc
        self._vhost = VhostThreads(pid, proc)
        self._beside: tuple[int, ...] = ()
        self._affinities: dict[int, set[int]] = {}
        self._named: dict[int, tuple[str, Role]] = {}
        self._young: set[int] = set()
        self._threads: tuple[ObservedThread, ...] = ()
        # The folder of the threads, kept open: through its path the look at their number costs twice as much.
        self._folder: int | None = None
        # What a glance compares with.
        self._expected: list[set[int]] = []

    def has_changed(self) -> bool:
        """Tell whether a look would find anything else than the last one did: one call a thread, and one for all.

        The links of a process's folder of threads are their number and two (fs/proc/base.c, proc_task_getattr): one
        that came is counted, one that was replaced by another fails. That its id went to a stranger meanwhile takes a
        round of all process ids; for that there are looks without a reason. A kernel that counts otherwise is looked
        at each time, and so is what cannot be glanced at.
        """
        if self._young:
            # Their names are to be read once more.
            return True
        try:
            if self._folder is None:
                self._folder = os.open(self._tasks, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            inside = len(self._affinities) - len(self._beside)
            if os.fstat(self._folder).st_nlink != inside + 2:
                return True
            return list(map(os.sched_getaffinity, self._affinities)) != self._expected
        except OSError:
            return True

    def close(self) -> None:
        """Close the folder that is glanced at."""
        if self._folder is not None:
            os.close(self._folder)
        self._folder = None

    def observe(self) -> tuple[ObservedThread, ...]:
        """Return every thread, ascending by thread id; one that ends meanwhile is left out.

        An empty result means that the process is gone.
        """
        affinities = self._read_affinities()
        if affinities != self._affinities or self._young:
            self._affinities = affinities
            self._expected = list(affinities.values())
            self._read_names()
            self._threads = tuple(self._observed(tid) for tid in sorted(affinities) if tid in self._named)
        return self._threads

    def _read_affinities(self) -> dict[int, set[int]]:
        """Return the affinity of each thread; empty where the process is gone, HostError where all of /proc is."""
        try:
            return self._list_affinities()
        except (FileNotFoundError, ProcessLookupError) as error:
            # Where a file system was, there is an empty folder.
            if not os.listdir(self._proc):  # noqa: PTH208 - paths of /proc are text here
                raise HostError(f"{self._proc} is gone, and no thread can be looked at") from error
            return {}

    def _list_affinities(self) -> dict[int, set[int]]:
        inside, beside = os.listdir(self._tasks), self._vhost.find()  # noqa: PTH208 - often, so not through Path
        affinities = {}
        for tid in (*map(int, inside), *beside):
            with suppress(ProcessLookupError):
                affinities[tid] = os.sched_getaffinity(tid)
        self._beside = tuple(tid for tid in beside if tid in affinities)
        return affinities

    def _read_names(self) -> None:
        """Read the names of new threads, and once more of those that were new: QEMU names a thread after its start."""
        known, young = self._named, self._young
        self._named, self._young = {}, set()
        for tid in self._affinities:
            if tid in known and tid not in young:
                self._named[tid] = known[tid]
                continue
            if tid not in known:
                self._young.add(tid)
            with suppress(FileNotFoundError, ProcessLookupError):
                self._named[tid] = self._read_name(tid)

    def _read_name(self, tid: int) -> tuple[str, Role]:
        folder = self._proc if tid in self._beside else self._tasks
        with open(f"{folder}/{tid}/comm", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - as above
            name = file.read().rstrip("\n")
        return name, classify(name, main=tid == self._pid)

    def _observed(self, tid: int) -> ObservedThread:
        name, role = self._named[tid]
        return ObservedThread(tid=tid, name=name, role=role, cpus=CPUSet.of(self._affinities[tid]))


def is_stopped(pid: int) -> bool:
    """Tell whether a process is stopped by a signal or a debugger; one that is gone is not."""
    return _state(pid) in ("T", "t")


def has_ended(pid: int) -> bool:
    """Tell whether a process is gone, or is left to be reaped."""
    return _state(pid) in ("", "Z", "X")


def _state(pid: int) -> str:
    """Return the letter of a process's state (proc_pid_stat(5)), none of one that is gone.

    Its first thread's is the same, and costs the kernel no sum over all threads.
    """
    try:
        # Unbuffered bytes: a text file costs as much again, and this is read every few seconds.
        with open(f"/proc/{pid}/task/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123 - as above
            return file.read(_STAT_BYTES).rpartition(b") ")[2][:1].decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def set_affinity(tid: int, cpus: CPUSet) -> None:
    """Set the affinity of one thread; one that has ended meanwhile is no error, every other refusal is an OSError."""
    try:
        os.sched_setaffinity(tid, cpus)
    except ProcessLookupError:
        return


def confine_process(cpus: CPUSet, proc: str = "/proc") -> int:
    """Set the affinity of every thread of this process, libvirt's own among them; return how many there were.

    A thread started meanwhile by one that was not yet moved is caught by the second look.
    """
    moved = 0
    for _look in range(2):
        for entry in os.listdir(f"{proc}/self/task"):  # noqa: PTH208 - paths of /proc are text here
            try:
                if CPUSet.of(os.sched_getaffinity(int(entry))) != cpus:
                    os.sched_setaffinity(int(entry), cpus)
                    moved += 1
            except ProcessLookupError:
                continue
    return moved
