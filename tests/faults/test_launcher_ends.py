"""The launcher killed and told to end at every moment of its life, and what the next one finds."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.boot_sector import Sector
from tests.faults.conftest import Launch
from tests.faults.ends import destroy, lines_of
from tests.faults.places import qemu_below, running_below, wait_until
from tests.processes import is_running
from tests.qemu.guests import Launcher, small_manifest
from tests.qemu.monitor import on_monitor, run_state

Moment = Callable[[Launcher], bool]


def said(pattern: str) -> Moment:
    return lambda launcher: bool(lines_of(launcher, pattern))


def is_there(pattern: str) -> Moment:
    return lambda launcher: any(launcher.root.glob(pattern))


# In the order in which they come, as far as that is fixed.
MOMENTS: dict[str, Moment] = {
    "when it has locked its root": is_there("launcher.lock"),
    "when it has planned": said("planned: "),
    "when QEMU's process is there": lambda launcher: qemu_below(launcher.root) is not None,
    "when QEMU's monitor is there": is_there("lib/qemu/domain-*/monitor.sock"),
    "when the domain's state is written": is_there("run/qemu/tests_demo.xml"),
    "when the domain is there": said("defined: "),
    "when it is about to prove": said("phase: unproved"),
    "when it has proved": said("verified: "),
    "when it resumes the guest": said("asked: resume"),
    "when the guest runs": said("phase: running"),
}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS.keys())
def test_a_launcher_killed_at_any_moment_is_taken_over_from(launch: Launch, moment: Moment) -> None:
    killed = launch(small_manifest(cores=1))
    wait_until(lambda: moment(killed), "the moment has come")
    killed.signal(signal.SIGKILL)
    killed.wait()
    wait_until(lambda: set(running_below(killed.root)) <= {qemu_below(killed.root)}, "nothing is left but QEMU")
    left = qemu_below(killed.root)
    is_waiting = left is not None and bool(lines_of(killed, "defined: ")) and run_state(killed.root) == "prelaunch"
    successor = launch(small_manifest(cores=1))
    successor.wait_for("verified: ")
    successor.wait_for("phase: running")
    pid = qemu_below(successor.root)
    assert pid == successor.qemu_pid()
    adopted = bool(lines_of(successor, "adopted: "))
    assert adopted == (pid == left), "there is one QEMU: the one that was left, or a new one in its place"
    if lines_of(killed, "phase: running"):
        assert adopted, "a guest that ran goes on running"
    if is_waiting:
        successor.wait_for("adopted: tests_demo, paused: it has not run yet")
    assert destroy(successor) == 9


def test_a_guest_that_ran_unmarked_and_was_paused_is_not_woken_by_the_next_launcher(launch: Launch) -> None:
    killed = launch(small_manifest(cores=1))
    killed.wait_for("defined: ")
    killed.signal(signal.SIGKILL)
    killed.wait()
    on_monitor(killed.root, "cont", "stop")
    adopter = launch(small_manifest(cores=1))
    adopter.wait_for("adopted: tests_demo, paused, and left so: it has run before")
    adopter.wait_for("phase: paused")
    adopter.wait_for("verified: ")
    assert not lines_of(adopter, "asked: resume")
    assert destroy(adopter) == 9


def test_a_launcher_killed_while_the_guest_shuts_down_is_taken_over_from(launch: Launch) -> None:
    vmi = small_manifest(cores=1, sector=Sector(is_deaf=True))
    killed = launch(vmi)
    killed.wait_for("phase: running")
    killed.signal(signal.SIGTERM)
    killed.wait_for("asked: ask to shut down")
    pid = killed.qemu_pid()
    killed.signal(signal.SIGKILL)
    killed.wait()
    successor = launch(vmi)
    successor.wait_for("adopted: tests_demo, running")
    assert successor.qemu_pid() == pid
    assert destroy(successor) == 9
    assert not is_running(pid)


@pytest.mark.parametrize(
    "moment",
    [MOMENTS[name] for name in ("when it has locked its root", "when QEMU's process is there", "when it has proved")],
    ids=["early", "while QEMU starts", "before the guest runs"],
)
def test_a_signal_during_the_start_ends_it_and_leaves_nothing(launch: Launch, moment: Moment) -> None:
    launcher = launch(small_manifest(cores=1))
    wait_until(lambda: moment(launcher), "the moment has come")
    launcher.signal(signal.SIGTERM)
    launcher.signal(signal.SIGTERM)
    assert destroy(launcher) == 9, launcher.output


def test_a_launcher_that_is_stopped_for_a_while_goes_on_where_it_was(launch: Launch) -> None:
    launcher = launch(small_manifest(cores=1))
    launcher.wait_for("phase: running")
    launcher.signal(signal.SIGSTOP)
    launcher.signal(signal.SIGTERM)
    launcher.signal(signal.SIGCONT)
    launcher.wait_for("asked: ask to shut down")
    assert destroy(launcher) == 9


def test_a_signal_while_the_manifest_never_ends_is_a_stop(root: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "vmi.yaml")
    launcher = Launcher(tmp_path / "vmi.yaml", root, ("--verbose",), {})
    launcher.wait_for("no keepalive: ")
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 9, launcher.output
    assert launcher.lines[-1] == "virt-launcher: stopped before the guest was started"


def test_a_root_that_is_called_by_another_name_is_the_same_root(launch: Launch, root: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    killed = launch(small_manifest(cores=1), "--root", str(link))
    killed.kill_once_running()
    pid = killed.qemu_pid()
    adopter = launch(small_manifest(cores=1))
    adopter.wait_for("adopted: tests_demo, running")
    adopter.wait_for("verified:")
    assert adopter.qemu_pid() == pid
    assert destroy(adopter) in (0, 9)
