"""Limits of the process that leave a run no room: one line, which names the limit."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.qemu.guests import CHECKOUT, environment_of_a_checkout

DEMO = CHECKOUT / "templates/examples/demo.yaml"


def run(folder: Path, which: int, limit: int) -> subprocess.CompletedProcess[str]:
    words = ("run", str(DEMO), "--root", str(folder), "--virt-type", "qemu", "--log-format", "text")
    return subprocess.run(
        [sys.executable, "-m", "launcher", *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment_of_a_checkout(),
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(which, (limit, limit)),
    )


@pytest.mark.parametrize("files", [10, 12, 13, 14, 15, 16, 20, 63])
def test_too_few_open_files_are_one_line(tmp_path: Path, files: int) -> None:
    result = run(tmp_path, resource.RLIMIT_NOFILE, files)
    assert result.stderr == f"virt-launcher: RLIMIT_NOFILE is {files}: a run needs 64 open files or more (ulimit -n)\n"
    assert result.returncode == 4


@pytest.mark.parametrize("megabytes", [40, 80, 90, 100, 110, 120, 300])
def test_too_little_address_space_is_one_line(tmp_path: Path, megabytes: int) -> None:
    result = run(tmp_path, resource.RLIMIT_AS, megabytes * 1_000_000)
    assert result.stderr.startswith(f"virt-launcher: RLIMIT_AS is {megabytes * 1_000_000 >> 10} KiB: a run needs ")
    assert result.stderr.count("\n") == 1
    assert result.returncode == 4
