"""The launcher as process 1 of a container: it reaps, sees QEMU's end, and ends itself in order."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress

import pytest

from tests.e2e.boot_sector import Sector
from tests.faults.conftest import Launch
from tests.faults.ends import lines_of
from tests.faults.places import qemu_below, wait_until
from tests.processes import children_of, is_running
from tests.qemu.guests import Launcher, small_manifest

# A pid namespace needs root, or a user namespace in which one is root.
AS_ROOT = () if os.geteuid() == 0 else ("--user", "--map-root-user")
PROCESS_ONE = ("unshare", *AS_ROOT, "--pid", "--fork", "--mount-proc", "--kill-child")

# Two orphans: one in a session of its own, as daemons have it, and one in nobody's.
ORPHANS = "setsid sh -c 'sleep 0.1 & exit'; sleep 0.1 & exit"


@pytest.fixture
def contained(launch: Launch) -> Launcher:
    """A launcher as process 1, its guest running."""
    launcher = launch(small_manifest(cores=1, sector=Sector(is_deaf=True)), prefix=PROCESS_ONE)
    launcher.wait_for("phase: running")
    return launcher


def process_one(launcher: Launcher) -> int:
    """Return the pid that process 1 of the namespace has out here."""
    (pid,) = children_of(launcher.process.pid)
    return pid


def test_orphans_are_reaped_and_a_signal_ends_everything_in_order(contained: Launcher) -> None:
    launcher = process_one(contained)
    subprocess.run(["nsenter", "--target", str(launcher), "--pid", "--mount", "sh", "-c", ORPHANS], check=True)
    wait_until(lambda: [is_running(child) for child in children_of(launcher)] == [True], "only QEMU is left as a child")
    os.kill(launcher, signal.SIGTERM)
    contained.wait_for("asked: ask to shut down")

    def ended() -> bool:
        if contained.process.poll() is None and not lines_of(contained, "asked: destroy"):
            # It may have ended a moment ago.
            with suppress(ProcessLookupError):
                os.kill(launcher, signal.SIGTERM)
        return contained.process.poll() is not None

    wait_until(ended, "the launcher has ended")
    assert contained.wait() == 9, contained.output


def test_qemus_end_is_seen_and_explained(contained: Launcher) -> None:
    pid = qemu_below(contained.root)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert contained.wait() == 8, contained.output
    contained.wait_for(r"ended: QEMU died: killed by signal 9 \(SIGKILL\)")


def test_a_container_that_is_killed_takes_its_guest_along_and_the_next_one_begins_anew(
    contained: Launcher, launch: Launch
) -> None:
    os.kill(process_one(contained), signal.SIGKILL)
    contained.wait()
    wait_until(lambda: qemu_below(contained.root) is None, "the kernel has ended the namespace's processes")
    successor = launch(small_manifest(cores=1, sector=Sector(is_deaf=True)), prefix=PROCESS_ONE)
    successor.wait_for("planned: ")
    successor.wait_for("phase: running")
    pid = qemu_below(successor.root)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert successor.wait() == 8
