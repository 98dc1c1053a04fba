"""The tests' own judgement of a guest that says nothing: whose fault it is, with what shows it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.e2e.boot_sector import READY, Sector
from tests.processes import is_running
from tests.qemu.guests import Launcher, small_manifest
from tests.qemu.stillness import GuestStoodStill

Launch = Callable[..., Launcher]

SILENT = Sector(is_silent=True)


def test_a_guest_that_runs_and_says_nothing_is_told_with_what_its_qemu_does(launch: Launch) -> None:
    launcher = launch(small_manifest(sector=SILENT))
    launcher.wait_for("phase: running")
    qemu = launcher.qemu_pid()
    with pytest.raises(GuestStoodStill) as raised:
        launcher.wait_for(READY, timeout_s=3.0)
    told = str(raised.value)
    assert "QEMU says: {'status': 'running'" in told
    assert all(word in told for word in ("CPU 0/TCG: on CPUs ", "CPU 1/TCG: on CPUs ", "EIP=", "phase: running"))
    assert not is_running(qemu)


def test_a_qemu_that_answers_nobody_is_told_too(launch: Launch) -> None:
    launcher = launch(small_manifest(sector=SILENT))
    launcher.wait_for("phase: running")
    os.kill(launcher.qemu_pid(), signal.SIGSTOP)
    with pytest.raises(GuestStoodStill, match="QEMU does not answer its monitor"):
        launcher.wait_for(READY, timeout_s=3.0)


def test_a_guest_that_does_not_run_is_a_fault_of_the_launchers(launch: Launch) -> None:
    launcher = launch(small_manifest(sector=SILENT))
    launcher.wait_for("phase: running")
    launcher.ask("pause")
    with pytest.raises(pytest.fail.Exception, match="'status': 'paused'"):
        launcher.wait_for(READY, timeout_s=3.0)


def test_a_guest_that_has_spoken_is_no_still_one(launch: Launch) -> None:
    launcher = launch(small_manifest())
    launcher.wait_for(READY)
    with pytest.raises(pytest.fail.Exception, match="no line 'guest: nothing of the kind'"):
        launcher.wait_for("guest: nothing of the kind", timeout_s=1.0)
    launcher.end_by_force()
