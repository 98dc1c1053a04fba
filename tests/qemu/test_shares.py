"""A folder of the host's, over virtiofs: a real guest reads and writes it, and its daemon ends with the guest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.places import wait_until
from tests.qemu.guests import Launcher, manifest, small_manifest

Launch = Callable[..., Launcher]


def shared(vmi: dict[str, Any]) -> dict[str, Any]:
    """Return the guest's manifest with the folder."""
    vmi["spec"]["domain"]["devices"]["filesystems"] = [{"name": "data", "virtiofs": {}}]
    vmi["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}]
    return vmi


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "volumes/vmi-disks/data"
    path.mkdir(parents=True)
    (path / "hello, world").write_text("hello")
    return path


def daemons_of(root: Path) -> list[int]:
    """Return the pids of the daemons whose sockets are below this root."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.startswith(f"--socket-path={root}/".encode()) for word in words):
            found.append(int(entry.name))
    return found


def wait_until_gone(root: Path) -> None:
    wait_until(lambda: daemons_of(root) == [], "no daemon is left")


# QEMU's own daemon of Debian 12 is for root alone: what everybody else is told is the last test's.
if os.geteuid() == 0:

    def test_a_guest_reads_and_writes_a_shared_folder_and_the_daemon_ends_with_it(
        launch: Launch, folder: Path, root: Path, tmp_path: Path
    ) -> None:
        launcher = launch(
            shared(manifest(cores=1, kernel_arguments="guest.share=data guest.exit=poweroff")),
            "--volumes",
            str(tmp_path / "volumes"),
        )
        assert launcher.wait() == 0, launcher.output
        digest = hashlib.md5(b"hello", usedforsecurity=False).hexdigest()
        assert f"guest: share=data path=hello, world md5={digest}" in launcher.output
        assert (folder / "guest").read_text() == "from the guest\n"
        wait_until_gone(root)

    def test_the_daemon_keeps_off_the_vcpus_cpus(
        launch: Launch, folder: Path, root: Path, tmp_path: Path, two_cpus: tuple[int, int]
    ) -> None:
        vmi = shared(small_manifest(cores=1, isolate=True))
        launcher = launch(vmi, "--volumes", str(folder.parents[1]))
        launcher.wait_for("phase: running")
        allowed = {frozenset(os.sched_getaffinity(int(task.name))) for pid in daemons_of(root) for task in
                   Path(f"/proc/{pid}/task").iterdir()}  # fmt: skip
        assert len(allowed) == 1
        assert len(next(iter(allowed))) == 1
        assert next(iter(allowed)) < set(two_cpus)
        launcher.end_by_force()
        wait_until_gone(root)

    def test_a_guest_that_does_not_start_leaves_no_daemon(
        launch: Launch, folder: Path, root: Path, tmp_path: Path
    ) -> None:
        template = tmp_path / "template.xml"
        text = (Path(__file__).parents[2] / "templates/domain/x86_64.xml").read_text()
        template.write_text(text.replace("<devices>", "<devices><emulator>/bin/false</emulator>"))
        launcher = launch(
            shared(small_manifest(cores=1)), "--volumes", str(folder.parents[1]), "--template", str(template)
        )
        assert launcher.wait() == 7, launcher.output
        assert "shared: " in launcher.output
        wait_until_gone(root)


def test_a_folder_that_is_not_there_is_told_before_anything_is_started(launch: Launch, tmp_path: Path) -> None:
    launcher = launch(shared(small_manifest(cores=1)), "--volumes", str(tmp_path / "volumes"))
    assert launcher.wait() == 3, launcher.output
    assert "spec.volumes[data]: " in launcher.output
    assert "is no folder: is the volume mounted, and no block device?" in launcher.output
