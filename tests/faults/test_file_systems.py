"""The file systems of the kernel taken away below a running launcher: it says so, is not ready, and loses no guest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.boot_sector import Sector
from tests.faults.conftest import Launch
from tests.faults.ends import destroy, lines_of
from tests.faults.places import wait_until
from tests.qemu.guests import Launcher, small_manifest

AS_ROOT = () if os.geteuid() == 0 else ("--user", "--map-root-user")
OWN_MOUNTS = ("unshare", *AS_ROOT, "--mount")


def inside(launcher: Launcher, *command: str) -> str:
    """Run a command among the launcher's mounts."""
    words = ["nsenter", "--target", str(launcher.process.pid), "--mount", *command]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def ready(launcher: Launcher) -> tuple[str, str]:
    status = json.loads(launcher.ask("status", "--format", "json"))
    (found,) = (condition for condition in status["conditions"] if condition["type"] == "Ready")
    return found["status"], found["reason"]


@pytest.mark.parametrize(
    ("folder", "line", "reason"),
    [
        ("/proc", r"ERROR\s+not watched: /proc is gone", "NotYetVerified"),
        ("/sys/fs/cgroup", r"WARNING\s+cpuset not read: .* is gone", "CPUsetUnreadable"),
    ],
    ids=["proc", "control groups"],
)
def test_a_file_system_of_the_kernel_that_goes_is_told_and_nobody_is_ready(
    launch: Launch, folder: str, line: str, reason: str
) -> None:
    launcher = launch(small_manifest(cores=1, sector=Sector(is_deaf=True)), prefix=OWN_MOUNTS)
    launcher.wait_for("phase: running")
    wait_until(lambda: ready(launcher)[0] == "True", "it is ready")
    pid = launcher.qemu_pid()
    inside(launcher, "umount", "--recursive", "--lazy", folder)
    launcher.wait_for(line)
    wait_until(lambda: ready(launcher) == ("False", reason), "it is not ready any more")
    assert "Traceback" not in launcher.output
    assert len(lines_of(launcher, line)) == 1
    assert launcher.process.poll() is None
    assert Path(f"/proc/{pid}").exists()
    if folder == "/proc":
        inside(launcher, "mount", "-t", "proc", "proc", "/proc")
        launcher.wait_for("watched again")
        wait_until(lambda: ready(launcher)[0] == "True", "it is ready again")
    assert destroy(launcher) == 9


def test_qemus_end_is_seen_without_proc(launch: Launch) -> None:
    launcher = launch(small_manifest(cores=1), prefix=OWN_MOUNTS)
    launcher.wait_for("phase: running")
    inside(launcher, "umount", "--recursive", "--lazy", "/proc")
    launcher.wait_for("not watched")
    os.kill(launcher.qemu_pid(), signal.SIGKILL)
    assert launcher.wait() == 8, launcher.output
