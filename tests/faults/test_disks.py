"""Disks that are full, read-only or not ours: for the output, the logs, the root and the guest's image."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.boot_sector import Sector
from tests.faults.conftest import Launch, launchers
from tests.faults.ends import destroy, last, lines_of
from tests.faults.places import fill, qemu_below, small_filesystem, wait_until
from tests.qemu.guests import environment_of_a_checkout, manifest, small_manifest
from tests.qemu.known import hand_out

FULL_OUTPUT = ("sh", "-c", 'exec "$@" >/dev/full 2>&1', "sh")
# The reader is gone as soon as it has read one line.
READER_GONE = ("bash", "-c", 'exec "$@" > >(head -n 1) 2>&1', "bash")
# The reader is there and reads nothing; the pipe is full from the beginning.
NOBODY_READS = (
    sys.executable,
    "-c",
    """import fcntl, os, sys
reader, writer = os.pipe()
os.write(writer, bytes(fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)))
os.set_inheritable(reader, True)
os.dup2(writer, 1)
os.dup2(writer, 2)
os.execvp(sys.argv[1], sys.argv[1:])
""",
)
NO_OUTPUT = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")


def speak(root: Path, verb: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "launcher", verb, "--root", str(root)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment_of_a_checkout())


@pytest.mark.parametrize(
    "prefix",
    [FULL_OUTPUT, READER_GONE, NOBODY_READS, NO_OUTPUT],
    ids=["on a full disk", "whose reader is gone", "that nobody reads", "that was closed before"],
)
def test_output_that_cannot_be_written_harms_no_guest(
    launch: Launch, two_cpus: tuple[int, int], prefix: tuple[str, ...]
) -> None:
    launcher = launch(small_manifest(cores=1, sector=Sector(is_deaf=True)), prefix=prefix)
    wait_until(lambda: "running" in speak(launcher.root, "status").stdout, "the guest runs")
    pid = launcher.qemu_pid()
    os.sched_setaffinity(pid, {two_cpus[0]})
    wait_until(lambda: os.sched_getaffinity(pid) == {two_cpus[1]}, "the thread is put right, and that is told")
    launcher.signal(signal.SIGTERM)
    wait_until(lambda: "shutting down" in speak(launcher.root, "status").stdout, "it has been asked")
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 9, launcher.output


def test_a_disk_that_fills_up_with_logs_harms_no_guest(launch: Launch, root: Path, two_cpus: tuple[int, int]) -> None:
    with small_filesystem(root / "log", "256k") as log:
        launcher = launch(small_manifest(cores=1))
        launcher.wait_for("phase: running")
        fill(log)
        os.sched_setaffinity(launcher.qemu_pid(), {two_cpus[0]})
        launcher.wait_for("repaired: emulator")
        assert destroy(launcher) == 9


def test_a_full_disk_for_logs_does_not_keep_a_guest_from_starting(launch: Launch, root: Path) -> None:
    with small_filesystem(root / "log", "64k") as log:
        fill(log)
        launcher = launch(small_manifest(cores=1))
        launcher.wait_for("phase: running")
        assert destroy(launcher) == 9


def test_a_full_disk_for_the_root_is_one_clear_line(root: Path, tmp_path: Path, two_cpus: tuple[int, int]) -> None:
    with small_filesystem(root / "r", "64k") as small, launchers(small, tmp_path) as launch:
        fill(small)
        launcher = launch(manifest(cores=1))
        assert launcher.wait() == 7, launcher.output
        assert "No space left on device" in last(launcher)
        assert "Traceback" not in launcher.output
        assert qemu_below(small) is None


def test_a_root_that_fills_up_harms_no_guest(
    root: Path, capabilities: Path, tmp_path: Path, two_cpus: tuple[int, int]
) -> None:
    with small_filesystem(root / "r", "1m") as small, launchers(small, tmp_path) as launch:
        hand_out(capabilities, small / "cache")
        launcher = launch(small_manifest(cores=1))
        launcher.wait_for("phase: running")
        filler = fill(small)
        pid = launcher.qemu_pid()
        os.sched_setaffinity(pid, {two_cpus[0]})
        launcher.wait_for("repaired: emulator")
        assert destroy(launcher) == 9
        filler.unlink()
        assert qemu_below(small) is None
        again = launch(small_manifest(cores=1))
        again.wait_for("phase: running")
        assert destroy(again) == 9


def test_a_full_disk_for_the_image_pauses_the_guest_and_says_so(launch: Launch, root: Path) -> None:
    with small_filesystem(root / "d", "1m") as folder:
        image = folder / "disk.img"
        with image.open("wb") as file:
            file.truncate(64 << 20)
        launcher = launch(manifest(cores=1, kernel_arguments="guest.shell=yes", disks=(image,)))
        launcher.wait_for("guest: ready")
        filler = fill(folder)
        with socket.socket(socket.AF_UNIX) as console:
            console.connect(str(root / "run/serial0.sock"))
            console.sendall(b"dd if=/dev/zero of=/dev/vda bs=64k count=4 conv=fsync\n")
            launcher.wait_for(r"ailing: I/O error on .* \(.*disk.img\): enospc")
            launcher.wait_for("phase: paused")
        filler.unlink()
        assert speak(root, "resume").returncode == 0
        wait_until(lambda: len(lines_of(launcher, "phase: running")) == 2, "it runs again")
        assert destroy(launcher) in (0, 9)


def test_a_root_on_a_read_only_file_system_is_one_clear_line(
    root: Path, tmp_path: Path, two_cpus: tuple[int, int]
) -> None:
    with small_filesystem(root / "r", "64k", "ro") as small, launchers(small / "root", tmp_path) as launch:
        launcher = launch(manifest(cores=1))
        assert launcher.wait() == 7, launcher.output
        assert last(launcher).endswith("root: Read-only file system; --root needs a writable folder")
        assert "Traceback" not in launcher.output


def test_a_root_that_belongs_to_somebody_else_is_one_clear_line(
    root: Path, tmp_path: Path, two_cpus: tuple[int, int]
) -> None:
    folder = root / "theirs"
    folder.mkdir(mode=0o500)
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        # Root may write everywhere but for the capability that lets it.
        prefix = ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override")
    with launchers(folder / "root", tmp_path) as launch:
        launcher = launch(manifest(cores=1), prefix=prefix)
        assert launcher.wait() == 7, launcher.output
        assert last(launcher).endswith("theirs/root: Permission denied; --root needs a writable folder")
