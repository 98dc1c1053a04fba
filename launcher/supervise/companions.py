"""What libvirt starts beside QEMU for a guest, swtpm and passt: kept off the CPUs of the vCPUs, as the launcher is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from launcher.cpuset import CPUSet


def confine_companions(cpus: CPUSet, *, besides: int, proc: str = "/proc") -> int:
    """Set the affinity of every thread of this process's children but QEMU; return how many threads were moved.

    libvirt starts them before QEMU, as daemons, which come to this process as to the reaper of orphans (children.py).
    It pins none of them. Raises OSError where one may not be moved.
    """
    moved = 0
    for pid in children(proc):
        if pid == besides:
            continue
        for tid in _threads(f"{proc}/{pid}/task"):
            with suppress(ProcessLookupError):
                if CPUSet.of(os.sched_getaffinity(tid)) != cpus:
                    os.sched_setaffinity(tid, cpus)
                    moved += 1
    return moved


def children(proc: str = "/proc") -> Iterator[int]:
    """Yield the ids of this process's children, whichever thread's (proc_tid_children(5)); none on a kernel without."""
    for tid in _threads(f"{proc}/self/task"):
        with suppress(OSError), open(f"{proc}/self/task/{tid}/children", encoding="ascii") as file:  # noqa: PTH123
            yield from map(int, file.read().split())


def _threads(folder: str) -> list[int]:
    with suppress(FileNotFoundError, ProcessLookupError):
        return [int(entry) for entry in os.listdir(folder)]  # noqa: PTH208 - paths of /proc are text here
    return []
