"""A file that is exchanged for a link to somebody else's, over and over, while the guest is started."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Launch
from tests.faults.ends import destroy
from tests.faults.places import wait_until
from tests.qemu.guests import INITRD, KERNEL, Launcher, manifest, small_manifest

# Puts a link in the place of the file, and the file in the place of the link, as fast as it can.
EXCHANGER = """
import os, sys
path, secret = sys.argv[1:]
os.link(path, path + ".own")
while True:
    os.symlink(secret, path + ".new")
    os.rename(path + ".new", path)
    os.link(path + ".own", path + ".new")
    os.rename(path + ".new", path)
"""


@contextmanager
def exchanged(path: Path, secret: Path) -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-S", "-c", EXCHANGER, str(path), str(secret)]) as exchanger:
        wait_until(path.is_symlink, "it is exchanged")
        yield
        exchanger.send_signal(signal.SIGKILL)


def open_in(pid: int) -> set[str]:
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        found.add(str(entry.readlink()))
    return found


def runs_or_is_refused(launcher: Launcher) -> bool:
    return launcher.process.poll() is not None or "phase: running" in launcher.output


def with_claim(kind: str) -> dict[str, Any]:
    made = small_manifest(cores=1)
    made["spec"]["domain"]["devices"]["disks"] = [{"name": "data", "disk": {"bus": "virtio"}}]
    made["spec"]["volumes"] = [{"name": "data", kind: {"persistentVolumeClaim": {"claimName": "c"}, "claimName": "c"}}]
    del made["spec"]["volumes"][0][kind]["persistentVolumeClaim" if kind == "persistentVolumeClaim" else "claimName"]
    return made


@pytest.mark.parametrize("kind", ["persistentVolumeClaim", "ephemeral"])
def test_a_claims_image_that_is_exchanged_gives_the_guest_no_other_file(
    launch: Launch, root: Path, tmp_path: Path, kind: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret" * 100_000)
    image = tmp_path / "volumes/vmi-disks/data/disk.img"
    image.parent.mkdir(parents=True)
    image.write_bytes(bytes(1 << 20))
    started = 0
    with exchanged(image, secret):
        for _time in range(6):
            launcher = launch(with_claim(kind), "--volumes", str(tmp_path / "volumes"))
            wait_until(partial(runs_or_is_refused, launcher), "it runs or is refused")
            if launcher.process.poll() is None:
                started += 1
                assert str(secret) not in open_in(launcher.qemu_pid()), launcher.output
                assert destroy(launcher) in (0, 9)
            else:
                assert launcher.wait() in (3, 7), launcher.output
                assert "Traceback" not in launcher.output
    image.unlink(missing_ok=True)
    image.write_bytes(bytes(1 << 20))
    launcher = launch(with_claim(kind), "--volumes", str(tmp_path / "volumes"))
    launcher.wait_for("phase: running")
    assert str(image) in open_in(launcher.qemu_pid())
    assert destroy(launcher) in (0, 9)


def test_images_and_kernel_are_what_was_opened_though_their_names_are_gone_by_then(
    launch: Launch, tmp_path: Path
) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    launcher = launch(manifest(cores=1, disks=(disk,)))
    launcher.wait_for("guest: disk=vda bytes=1048576 readonly=0")
    launcher.kill_once_running()
    disk.rename(tmp_path / "moved.img")
    adopter = launch(manifest(cores=1, disks=(disk,)))
    adopter.wait_for("verified: ")
    assert str(tmp_path / "moved.img") in open_in(adopter.qemu_pid())
    assert destroy(adopter) in (0, 9)
    assert KERNEL.exists()
    assert INITRD.exists()
