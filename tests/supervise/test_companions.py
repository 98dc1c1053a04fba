"""What libvirt starts beside QEMU runs where the launcher does: children of this process, real ones, but for QEMU."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.cpuset import CPUSet
from launcher.supervise.companions import children, confine_companions

SLEEP = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); print(flush=True)"

Start = Callable[[], int]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start children of two threads each."""
    started = []

    def begin() -> int:
        started.append(subprocess.Popen([sys.executable, "-S", "-c", SLEEP], stdout=subprocess.PIPE))
        assert started[-1].stdout is not None
        started[-1].stdout.readline()
        return started[-1].pid

    yield begin
    for child in started:
        child.kill()
        child.communicate()


def affinities(pid: int) -> list[set[int]]:
    """Return the affinity of each thread of a process."""
    return [os.sched_getaffinity(int(entry.name)) for entry in Path(f"/proc/{pid}/task").iterdir()]


def test_every_thread_of_a_child_is_moved_and_qemu_is_not(start: Start) -> None:
    first = min(os.sched_getaffinity(0))
    companion, qemu = start(), start()
    before = affinities(qemu)
    assert {companion, qemu} <= set(children())
    assert confine_companions(CPUSet.of({first}), besides=qemu) >= 2
    assert affinities(companion) == [{first}, {first}]
    assert affinities(qemu) == before


def test_what_is_there_already_is_left_alone(start: Start) -> None:
    first = min(os.sched_getaffinity(0))
    start()
    confine_companions(CPUSet.of({first}), besides=0)
    assert confine_companions(CPUSet.of({first}), besides=0) == 0


def test_a_child_that_ends_meanwhile_is_no_error(start: Start) -> None:
    pid = start()
    os.kill(pid, 9)
    assert confine_companions(CPUSet.of(os.sched_getaffinity(0)), besides=0) >= 0


def test_a_kernel_that_lists_no_children_has_none(tmp_path: object) -> None:
    assert list(children(str(tmp_path))) == []
