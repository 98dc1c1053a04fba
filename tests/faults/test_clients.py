"""Clients that mean harm, at a launcher with a guest: neither the launcher nor its guest is held up by them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.boot_sector import Sector
from tests.faults.conftest import Launch
from tests.faults.ends import destroy
from tests.faults.places import wait_until
from tests.faults.test_disks import speak
from tests.observability.clients import connect, fetch
from tests.qemu.guests import Launcher, small_manifest

STATUS = b'{"command": "status"}\n'
SLOW = b"GET /status HTTP/1.1\r\n"

Where = tuple[str, int]


@pytest.fixture
def listening(launch: Launch) -> tuple[Launcher, Where]:
    """A launcher that can be spoken to in both ways, its guest running."""
    launcher = launch(small_manifest(cores=1, sector=Sector(is_deaf=True)), "--listen", "127.0.0.1:0")
    launcher.wait_for("phase: running")
    return launcher, ("127.0.0.1", int(launcher.wait_for(r"listening: .*:\d+$").rpartition(":")[2]))


@contextmanager
def besieged(control: Path, http: Where) -> Iterator[None]:
    """Hold many connections that never read or never end their question, and leave others after nonsense."""
    with ExitStack() as held:
        for number in range(1000):
            held.enter_context(connect(control)).sendall(STATUS)
            if number % 10 == 0:
                held.enter_context(connect(http)).sendall(SLOW)
                with connect(control) as hasty:
                    hasty.sendall(bytes((number * n) % 256 for n in range(number)))
                with connect(http) as hasty:
                    hasty.sendall(bytes((number + n * n) % 256 for n in range(number)))
        yield


def descriptors_of(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/fd").iterdir())


def glances_at(pid: int, qemu: int) -> bool:
    """Tell whether a launcher has all open that it keeps open for its glances: QEMU's threads are the last."""
    return Path(f"/proc/{qemu}/task") in [descriptor.resolve() for descriptor in descriptors_of(pid)]


def test_a_thousand_clients_that_never_read_slow_ones_and_garbage_hold_nobody_up(
    listening: tuple[Launcher, Where], two_cpus: tuple[int, int]
) -> None:
    launcher, http = listening
    pid, own = launcher.qemu_pid(), launcher.process.pid
    wait_until(lambda: glances_at(own, pid), "the launcher has begun to glance")
    before = len(descriptors_of(own))
    vcpu, emulator = two_cpus
    with besieged(launcher.root / "run/control.sock", http):
        os.sched_setaffinity(pid, {vcpu})
        wait_until(lambda: os.sched_getaffinity(pid) == {emulator}, "a thread is put right all the same")
        wait_until(lambda: fetch(http, "/readyz").status == 200, "that is told")
        assert fetch(http, "/livez").status == 200
        assert "running" in speak(launcher.root, "status").stdout
    wait_until(lambda: len(descriptors_of(own)) <= before, "the launcher has let go of them all")
    assert "Traceback" not in launcher.output
    assert destroy(launcher) == 9
