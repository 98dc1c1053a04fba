"""QEMU killed and stopped, its guest paused and rebooting: what happens is seen, told and cleared up after.

A guest that ignores the power button or panics, and one that is destroyed at once: tests/qemu.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from launcher.hypervisor.probes import probes_below
from tests.e2e.boot_sector import Sector
from tests.faults.conftest import Launch
from tests.faults.ends import destroy, last, lines_of
from tests.faults.places import running_below, wait_until
from tests.processes import is_running, state_of
from tests.qemu.guests import Launcher, small_manifest


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGTERM, "QEMU was told to end by a signal"),
        (signal.SIGKILL, r"QEMU died: killed by signal 9 \(SIGKILL\)"),
        (signal.SIGSEGV, r"QEMU died: killed by signal 11 \(SIGSEGV\)"),
        (signal.SIGABRT, r"QEMU died: killed by signal 6 \(SIGABRT\)"),
    ],
    ids=["TERM", "KILL", "SEGV", "ABRT"],
)
def test_a_qemu_that_is_killed_is_a_crash_with_its_signal(launch: Launch, number: signal.Signals, reason: str) -> None:
    launcher = launch(small_manifest(cores=1))
    launcher.wait_for("phase: running")
    os.kill(launcher.qemu_pid(), number)
    assert launcher.wait() == 8, launcher.output
    launcher.wait_for(rf"ended: {reason} \(exit status 8\)")


def test_a_qemu_that_is_killed_before_the_proof_is_a_crash(launch: Launch) -> None:
    launcher = launch(small_manifest(cores=1))
    launcher.wait_for("defined:")
    os.kill(launcher.qemu_pid(), signal.SIGKILL)
    assert launcher.wait() in (7, 8), launcher.output
    assert "Traceback" not in launcher.output


def test_a_qemu_that_is_killed_while_the_guest_shuts_down_is_a_crash(launch: Launch) -> None:
    launcher = launch(small_manifest(cores=1, sector=Sector(is_deaf=True)))
    launcher.wait_for("phase: running")
    launcher.signal(signal.SIGTERM)
    launcher.wait_for("asked: ask to shut down")
    os.kill(launcher.qemu_pid(), signal.SIGKILL)
    assert launcher.wait() == 8, launcher.output


def test_a_stopped_qemu_holds_up_neither_the_loop_nor_the_end(launch: Launch) -> None:
    launcher = launch(small_manifest(cores=1), "--grace-period", "1")
    launcher.wait_for("phase: running")
    pid = launcher.qemu_pid()
    os.kill(pid, signal.SIGSTOP)
    launcher.signal(signal.SIGTERM)
    launcher.wait_for("asked: destroy")
    assert launcher.wait() == 9, launcher.output
    assert "not powered off within the grace period of 1 s" in last(launcher)
    assert not is_running(pid)


# A QEMU that stands still before it does anything, as one whose memory takes minutes to be had.
STANDING = """#!/bin/sh
case "$*" in *guest=tests_demo*) kill -STOP $$ ;; esac
exec qemu-system-x86_64 "$@"
"""


@pytest.fixture
def standing(root: Path, tmp_path: Path) -> Path:
    """A template whose QEMU is stopped as soon as libvirt has started it."""
    emulator, template = root / "qemu-standing", tmp_path / "template.xml"
    emulator.write_text(STANDING)
    emulator.chmod(0o700)
    template.write_text(f"<domain><devices><emulator>{emulator}</emulator></devices></domain>")
    return template


def stopped_below(root: Path) -> int | None:
    """Return the process of this root's QEMU that stands still by now, if there is one."""
    return next((pid for pid in running_below(root) if state_of(pid) == "T"), None)


def test_a_qemu_that_never_answers_libvirt_is_ended_with_the_start_when_that_is_asked_for(
    launch: Launch, root: Path, standing: Path
) -> None:
    launcher = launch(small_manifest(cores=1), "--template", str(standing))
    wait_until(lambda: stopped_below(root) is not None, "QEMU stands still")
    pid = stopped_below(root)
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 9, launcher.output
    assert last(launcher) == "virt-launcher: stopped before the guest ran: start had no answer within 10 s more"
    assert lines_of(launcher, "not started: .*; QEMU is ended")
    assert pid is not None
    assert not is_running(pid)


def test_a_qemu_that_stands_still_while_libvirt_asks_what_it_can_do_is_ended_and_another_asked(
    launch: Launch, root: Path
) -> None:
    shutil.rmtree(root / "cache", ignore_errors=True)
    launcher = launch(small_manifest(cores=1))
    wait_until(lambda: bool(probes_below(root)), "libvirt asks a QEMU")
    (pid, *_others) = probes_below(root)
    os.kill(pid, signal.SIGSTOP)
    launcher.wait_for(rf"probe: QEMU \(pid {pid}\), which libvirt asks what it can do, stands still and is ended")
    launcher.wait_for("phase: running")
    assert destroy(launcher) == 9
    assert not is_running(pid)


def test_a_stopped_qemu_does_not_keep_its_next_launcher_from_ending_it(launch: Launch) -> None:
    killed = launch(small_manifest(cores=1))
    killed.kill_once_running()
    pid = killed.qemu_pid()
    os.kill(pid, signal.SIGSTOP)
    adopter = launch(small_manifest(cores=1), "--grace-period", "1")
    adopter.wait_for("found: tests_demo, which runs already")
    adopter.signal(signal.SIGTERM)
    assert adopter.wait() == 9, adopter.output
    assert "not powered off within the grace period of 1 s" in last(adopter)
    assert not lines_of(adopter, "though it was killed")
    assert not is_running(pid)


def test_a_stopped_qemu_is_still_watched(launch: Launch, two_cpus: tuple[int, int]) -> None:
    launcher = launch(small_manifest(cores=1))
    launcher.wait_for("phase: running")
    pid = launcher.qemu_pid()
    os.kill(pid, signal.SIGSTOP)
    launcher.wait_for(rf"stopped: QEMU \(pid {pid}\), by a signal or a debugger; SIGCONT lets it go on")
    assert ready(launcher) == ("False", "QEMUStopped")
    vcpu, emulator = two_cpus
    assert os.sched_getaffinity(pid) == {emulator}
    os.sched_setaffinity(pid, {vcpu})
    wait_until(lambda: os.sched_getaffinity(pid) == {emulator}, "the stopped QEMU is put right")
    os.kill(pid, signal.SIGCONT)
    launcher.wait_for(rf"continued: QEMU \(pid {pid}\)")
    wait_until(lambda: ready(launcher) == ("True", "RunningAndVerified"), "it is ready again")
    assert destroy(launcher) == 9


def ready(launcher: Launcher) -> tuple[str, str]:
    """Return the status and the reason of the condition Ready."""
    status = json.loads(launcher.ask("status", "--format", "json"))
    (found,) = (condition for condition in status["conditions"] if condition["type"] == "Ready")
    return found["status"], found["reason"]


def test_a_guest_that_reboots_for_ever_goes_on_and_is_ended_when_asked(launch: Launch) -> None:
    launcher = launch(small_manifest(cores=1, sector=Sector(ticks=5, resets=True)))
    launcher.wait_for("rebooted: the guest has reset itself")
    pid = launcher.qemu_pid()
    rebooted = len(lines_of(launcher, "rebooted:"))
    wait_until(lambda: len(lines_of(launcher, "rebooted:")) > rebooted, "it reboots again")
    assert launcher.qemu_pid() == pid
    assert destroy(launcher) in (0, 9)


@pytest.fixture
def paused(launch: Launch) -> Launcher:
    """A guest that somebody has paused over the control socket."""
    launcher = launch(small_manifest(cores=1))
    launcher.wait_for("phase: running")
    launcher.ask("pause")
    launcher.wait_for("phase: paused")
    return launcher


def test_a_paused_guest_is_woken_to_be_shut_down(paused: Launcher) -> None:
    paused.signal(signal.SIGTERM)
    paused.wait_for("asked: resume")
    assert destroy(paused) == 9


def test_a_paused_guest_stays_paused_under_the_next_launcher_until_it_is_resumed(
    paused: Launcher, launch: Launch
) -> None:
    paused.signal(signal.SIGKILL)
    paused.wait()
    adopter = launch(small_manifest(cores=1))
    adopter.wait_for("adopted: tests_demo, paused, and left so: it has run before")
    adopter.wait_for("verified:")
    assert not lines_of(adopter, "asked: resume")
    adopter.ask("resume")
    adopter.wait_for("phase: running")
    assert destroy(adopter) == 9
