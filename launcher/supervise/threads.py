"""QEMU's threads as the kernel shows them, and the confinement of the launcher's own."""

from __future__ import annotations

import os

from launcher.cpuset import CPUSet
from launcher.supervise.roles import ObservedThread, Role, ThreadKind, classify


class ThreadObserver:
    """Looks at the threads of one process again and again, cheaply: names that say a role are read only once."""

    def __init__(self, pid: int, proc: str = "/proc") -> None:
        self._pid = pid
        self._tasks = f"{proc}/{pid}/task"
        self._named: dict[int, tuple[str, Role]] = {}

    def observe(self) -> tuple[ObservedThread, ...]:
        """Return every thread, ascending by thread id; one that ends meanwhile is left out.

        An empty result means that the process is gone.
        """
        try:
            tids = sorted(map(int, os.listdir(self._tasks)))  # noqa: PTH208 - twice a second, so not through Path
        except (FileNotFoundError, ProcessLookupError):
            return ()
        self._named = {tid: self._named[tid] for tid in tids if tid in self._named}
        observed = (self._observe(tid) for tid in tids)
        return tuple(thread for thread in observed if thread is not None)

    def _observe(self, tid: int) -> ObservedThread | None:
        try:
            name, role = self._named.get(tid) or self._read_name(tid)
            cpus = CPUSet.of(os.sched_getaffinity(tid))
        except (FileNotFoundError, ProcessLookupError):
            return None
        return ObservedThread(tid=tid, name=name, role=role, cpus=cpus)

    def _read_name(self, tid: int) -> tuple[str, Role]:
        """Read the kernel's name of the thread; that of a vCPU or IOThread does not change any more."""
        with open(f"{self._tasks}/{tid}/comm", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - as above
            name = file.read().rstrip("\n")
        named = name, classify(name, main=tid == self._pid)
        if named[1].kind is not ThreadKind.WORKER:
            self._named[tid] = named
        return named


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
