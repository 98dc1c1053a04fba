"""vhost's kernel threads beside QEMU: found by name, kind and owner, watched like its own, and left out if not ours."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.cpuset import CPUSet
from launcher.supervise.roles import Role, ThreadKind
from launcher.supervise.threads import ThreadObserver, set_affinity
from launcher.supervise.vhost import VhostThreads

WITH_VHOST = b"qemu-system-x86_64\0-netdev\0tap,fd=3,vhost=on,vhostfd=4\0"
WITHOUT = b"qemu-system-x86_64\0-nic\0none\0"
_KERNEL_FLAGS, _USER_FLAGS = 0x00208040, 0x00400000


class Machine:
    """A /proc with a QEMU and what is put beside it; the ids are those of real processes, whose affinities are real."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: list[subprocess.Popen[bytes]] = []
        self.qemu = self._new()
        task = folder / f"{self.qemu}/task/{self.qemu}"
        task.mkdir(parents=True)
        (task / "comm").write_text("qemu-system-x86\n")
        self.started_as(WITH_VHOST)

    def started_as(self, command: bytes) -> None:
        (self.folder / f"{self.qemu}/cmdline").write_bytes(command)

    def beside(self, name: str, flags: int = _KERNEL_FLAGS) -> int:
        tid = self._new()
        (self.folder / str(tid)).mkdir()
        (self.folder / f"{tid}/comm").write_text(f"{name}\n")
        (self.folder / f"{tid}/stat").write_text(f"{tid} ({name}) S 2 0 0 0 -1 {flags} 0 0 0 0\n")
        return tid

    def observer(self) -> ThreadObserver:
        return ThreadObserver(self.qemu, str(self.folder))

    def _new(self) -> int:
        self.children.append(subprocess.Popen(["sleep", "600"]))
        return self.children[-1].pid


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    for child in made.children:
        child.kill()
        child.wait()


def test_a_vhost_thread_beside_qemu_is_a_worker_and_its_affinity_is_followed(machine: Machine) -> None:
    tid = machine.beside(f"vhost-{machine.qemu}")
    observer = machine.observer()
    (seen,) = [thread for thread in observer.observe() if thread.tid == tid]
    assert (seen.name, seen.role) == (f"vhost-{machine.qemu}", Role(kind=ThreadKind.VHOST))
    one = CPUSet.of((min(os.sched_getaffinity(tid)),))
    set_affinity(tid, one)
    assert [thread.cpus for thread in observer.observe() if thread.tid == tid] == [one]


def test_a_vhost_thread_that_ended_is_left_out(machine: Machine) -> None:
    machine.beside(f"vhost-{machine.qemu}")
    observer = machine.observer()
    assert len(observer.observe()) == 2
    machine.children[-1].kill()
    machine.children[-1].wait()
    assert [thread.tid for thread in observer.observe()] == [machine.qemu]


def test_with_qemu_all_are_gone(machine: Machine) -> None:
    machine.beside(f"vhost-{machine.qemu}")
    observer = machine.observer()
    observer.observe()
    (machine.folder / f"{machine.qemu}/task/{machine.qemu}/comm").unlink()
    for folder in (f"{machine.qemu}/task/{machine.qemu}", f"{machine.qemu}/task"):
        (machine.folder / folder).rmdir()
    assert observer.observe() == ()


def test_others_are_not_taken_for_qemus(machine: Machine) -> None:
    machine.beside("vhost-1")
    machine.beside("kworker/0:0")
    machine.beside(f"vhost-{machine.qemu}", flags=_USER_FLAGS)
    assert [thread.tid for thread in machine.observer().observe()] == [machine.qemu]


def test_nobody_is_looked_for_where_qemu_has_no_such_device(machine: Machine) -> None:
    machine.started_as(WITHOUT)
    machine.beside(f"vhost-{machine.qemu}")
    assert [thread.tid for thread in machine.observer().observe()] == [machine.qemu]


def test_one_that_this_user_may_not_move_is_told_of_and_left_out(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_tid: int, _cpus: set[int]) -> None:
        raise PermissionError(1, "Operation not permitted")

    tid = machine.beside(f"vhost-{machine.qemu}")
    vhost = VhostThreads(machine.qemu, str(machine.folder), refuse)
    assert vhost.find() == ()
    words = f"not ours to place: QEMU's vhost thread {tid}, a kernel thread: Operation not permitted"
    assert [record.getMessage() for record in caplog.records] == [words]
