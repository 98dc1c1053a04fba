"""hack/check-machine: a machine on which no guest is tried is told at once, in one line, with what works there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.qemu.guests import CHECKOUT


def check(tmp_path: Path, release: str, architecture: str) -> subprocess.CompletedProcess[str]:
    """Ask about a machine with this os-release(5)."""
    file = tmp_path / "os-release"
    file.write_text(release)
    command = [str(CHECKOUT / "hack/check-machine"), str(file), architecture]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("version", ["12", "13"])
def test_both_releases_of_debian_are_taken_in_silence(tmp_path: Path, version: str) -> None:
    ended = check(tmp_path, f'PRETTY_NAME="Debian GNU/Linux"\nVERSION_ID="{version}"\nID=debian\n', "x86_64")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("release", "architecture", "name"),
    [
        pytest.param(
            'ID=fedora\nVERSION_ID=43\nPRETTY_NAME="Fedora Linux 43"\n', "x86_64", "Fedora Linux 43", id="Fedora"
        ),
        pytest.param('ID=ubuntu\nID_LIKE=debian\nPRETTY_NAME="Ubuntu 24.04"\n', "x86_64", "Ubuntu 24.04", id="Ubuntu"),
        pytest.param(
            'ID=debian\nVERSION_ID=13\nPRETTY_NAME="Debian 13"\n', "aarch64", "Debian 13 on aarch64", id="ARM"
        ),
        pytest.param("", "x86_64", "no known system", id="no os-release"),
    ],
)
def test_another_machine_is_refused_in_one_line_with_what_works_there(
    tmp_path: Path, release: str, architecture: str, name: str
) -> None:
    ended = check(tmp_path, release, architecture)
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    for part in (name, "Debian 12 and 13 for amd64", "missing here", "pip install .", "plan, render, check, pod"):
        assert part in line


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    file = tmp_path / "os-release"
    file.write_text("ID=nixos\n")
    command = ["/bin/sh", str(CHECKOUT / "hack/check-machine"), str(file), "x86_64"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": str(tmp_path)})
    assert "demo guest, apt-get, dpkg-deb, qemu-system-x86_64, qemu-img, libvirtd, virsh" in ended.stderr


def test_a_later_debian_is_told_to_be_untried_and_tried(tmp_path: Path) -> None:
    ended = check(tmp_path, 'ID=debian\nPRETTY_NAME="Debian GNU/Linux forky/sid"\n', "x86_64")
    assert (ended.returncode, ended.stdout) == (0, "")
    (line,) = ended.stderr.splitlines()
    assert "forky/sid is untried" in line


@pytest.mark.parametrize("target", ["run", "test", "test-lowest", "test-newest"])
def test_it_is_asked_before_anything_is_set_up(target: str) -> None:
    """Of a make of its own: the one that runs the tests hands its options on, and a make below a make says where."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "-n", target]
    planned = subprocess.run(command, cwd=CHECKOUT, env=own, capture_output=True, text=True, check=True).stdout
    assert planned.splitlines()[0] == "hack/check-machine"
