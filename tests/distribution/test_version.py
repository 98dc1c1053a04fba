"""One version: the package's, the command's, the image's tag wherever it is written, and that of the newest changes."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from launcher import __version__
from tests.qemu.guests import CHECKOUT


def test_the_command_says_its_version() -> None:
    ended = subprocess.run([sys.executable, "-m", "launcher", "--version"], capture_output=True, text=True, check=True)
    assert ended.stdout == f"virt-launcher {__version__}\n"


@pytest.mark.parametrize("name", ["README.md", "hack/README.md", "templates/node-label/daemonset.yaml"])
def test_an_image_is_named_with_the_version(name: str) -> None:
    tags = re.findall(r"\bvirt-launcher:(\d[\w.-]*)", (CHECKOUT / name).read_text())
    assert set(tags) == {__version__}


def test_the_newest_changes_are_those_of_this_version() -> None:
    headings = re.findall(r"^## (\S+) \(", (CHECKOUT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == __version__
    assert headings == sorted(headings, key=lambda text: [int(part) for part in text.split(".")], reverse=True)
