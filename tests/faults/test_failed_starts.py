"""Starts that come to nothing: what was made for them is taken away again, secrets above all."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Launch
from tests.faults.ends import destroy
from tests.faults.places import wait_until
from tests.qemu.guests import small_manifest


def with_discs(name: str = "demo") -> dict[str, Any]:
    """A guest with an empty disk and a cloud-init disc, on which is a password."""
    made = small_manifest(cores=1)
    made["metadata"]["name"] = name
    made["spec"]["domain"]["devices"]["disks"] = [
        {"name": each, "disk": {"bus": "virtio"}} for each in ("scratch", "ci")
    ]
    made["spec"]["volumes"] = [
        {"name": "scratch", "emptyDisk": {"capacity": "1Mi"}},
        {"name": "ci", "cloudInitNoCloud": {"userData": "#cloud-config\npassword: secret\n"}},
    ]
    return made


def images_below(root: Path) -> list[Path]:
    return sorted(path for path in (root / "storage").rglob("*") if path.is_file())


def test_a_start_that_libvirt_refuses_leaves_no_disc(launch: Launch, root: Path, tmp_path: Path) -> None:
    template = tmp_path / "template.xml"
    template.write_text("<domain><devices><emulator>/bin/false</emulator></devices></domain>")
    launcher = launch(with_discs(), "--template", str(template))
    assert launcher.wait() == 7, launcher.output
    assert not (root / "storage").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_start_that_is_cut_short_leaves_no_disc_for_long(launch: Launch, root: Path, number: signal.Signals) -> None:
    launcher = launch(with_discs())
    wait_until(lambda: bool(images_below(root)), "a disc is made")
    launcher.signal(number)
    assert launcher.wait() == (9 if number is signal.SIGTERM else -9), launcher.output
    if number is signal.SIGKILL:
        assert images_below(root), "nobody was left to take it away"
        # Another guest's, of another name: one that is not there to be started.
        other = small_manifest(cores=1)
        other["spec"]["domain"]["firmware"]["kernelBoot"]["container"]["kernelPath"] = "/nonexistent"
        other["metadata"]["name"] = "other"
        assert launch(other).wait() == 3
    assert not (root / "storage").exists()


def test_discs_of_a_guest_that_runs_stay_while_its_launcher_is_away(launch: Launch, root: Path) -> None:
    killed = launch(with_discs())
    killed.kill_once_running()
    before = images_below(root)
    assert [path.name for path in before] == ["ci.iso", "scratch.qcow2"]
    # It is refused, for the other guest lives over this root.
    assert launch(with_discs("other")).wait() == 7
    assert images_below(root) == before
    adopter = launch(with_discs())
    adopter.wait_for("verified: ")
    assert destroy(adopter) in (0, 9)
    assert not (root / "storage").exists()
