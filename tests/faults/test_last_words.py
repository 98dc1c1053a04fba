"""Why it ended, where the kubelet looks for it: the reason, and what QEMU said last where it died."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.faults.conftest import Launch
from tests.qemu.guests import Launcher, small_manifest

# A /dev with the file that the kubelet makes there, seen by this process and its children alone.
AS_ROOT = () if os.geteuid() == 0 else ("--user", "--map-root-user")
WITH_MESSAGE = """
mount --make-rprivate /
mount -t tmpfs -o mode=0755 dev /mnt
for name in null zero full random urandom; do
    : >"/mnt/$name"
    mount --bind "/dev/$name" "/mnt/$name"
done
: >/mnt/termination-log
mount --bind "$0" /mnt/termination-log
mount --move /mnt /dev
exec "$@"
"""


@pytest.fixture
def message(tmp_path: Path) -> Path:
    made = tmp_path / "message"
    made.touch()
    return made


def contained(message: Path) -> tuple[str, ...]:
    return ("unshare", *AS_ROOT, "--mount", "sh", "-euc", WITH_MESSAGE, str(message))


@pytest.fixture
def launcher(launch: Launch, message: Path) -> Launcher:
    """A launcher in such a container, its guest running."""
    started = launch(small_manifest(cores=1), prefix=contained(message))
    started.wait_for("phase: running")
    return started


def test_the_last_words_of_a_qemu_that_dies_are_told(launcher: Launcher, message: Path) -> None:
    os.kill(launcher.qemu_pid(), signal.SIGTERM)
    assert launcher.wait() == 8, launcher.output
    reason, *words = message.read_text().splitlines()
    assert reason == "exit status 8: QEMU was told to end by a signal"
    assert any(f"terminating on signal 15 from pid {os.getpid()}" in word for word in words), words
    assert not any("-name guest=" in word for word in words), "the command line is none of them"
    launcher.wait_for("INFO +qemu: .*terminating on signal 15")


def test_a_qemu_that_is_killed_is_told_with_its_signal(launcher: Launcher, message: Path) -> None:
    os.kill(launcher.qemu_pid(), signal.SIGKILL)
    assert launcher.wait() == 8, launcher.output
    assert message.read_text().startswith("exit status 8: QEMU died: killed by signal 9 (SIGKILL)")


def test_a_guest_that_never_starts_is_told_with_the_reason(launch: Launch, message: Path) -> None:
    launcher = launch(small_manifest(cores=3), prefix=contained(message))
    assert launcher.wait() == 5, launcher.output
    assert f"virt-launcher: {message.read_text().removeprefix('exit status 5: ')}" in launcher.lines
