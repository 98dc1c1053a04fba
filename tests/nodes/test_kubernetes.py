"""The tools around a real Kubernetes, where it is not built: what is missing is said in one line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hack.kubelets.building import VERSIONS, version_named
from hack.kubelets.errors import GoError
from launcher.kubelet.version import KubeletVersion

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """Return a checkout in which nothing is built: what is built needs no Go."""
    folder = tmp_path / "fresh"
    shutil.copytree(CHECKOUT / "hack", folder / "hack")
    for name in ("launcher", "tests"):
        (folder / name).symlink_to(CHECKOUT / name)
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to(sys.executable)
    return folder


@pytest.mark.parametrize("tool", ["hack/build-kubernetes", "hack/oracle"])
def test_without_go_one_line_says_what_needs_it(tool: str, fresh: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": str(tmp_path)}
    words = [sys.executable, str(fresh / tool)]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert re.fullmatch(r"[\w-]+: no Go: wanted Go 1\.26 or newer, [^\n]*\n", ended.stderr), ended.stderr


@pytest.mark.parametrize(
    ("said", "told"), [("go1.25.3", "Go go1.25.3 is too old"), ("", "Go of no version is too old")]
)
def test_an_older_go_is_told(said: str, told: str, fresh: Path, tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.write_text(f"#!/bin/sh\necho {said}\n")
    go.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    words = [sys.executable, str(fresh / "hack/build-kubernetes")]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert f"{told}: wanted 1.26 or newer" in ended.stderr


def test_without_anything_built_ci_says_in_one_line_what_it_leaves_out(fresh: Path) -> None:
    """A first build takes longer than CI has, so none is begun there."""
    ended = subprocess.run([fresh / "hack/run-e2e-shortest"], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    left_out = r"left out: the kubelet's own answers \(.*\), a Pod on a real Kubernetes \(.*\)\n"
    assert re.fullmatch(f"run-e2e-shortest: {left_out}", ended.stdout), ended.stdout


def test_each_version_that_is_foretold_is_locked_and_no_other() -> None:
    assert list(VERSIONS) == [str(version) for version in KubeletVersion]
    for name in VERSIONS:
        lock = version_named(name).lock.read_text()
        (full,) = re.findall(r"(?m)^\tk8s\.io/kubernetes (v[\d.]+)", lock)
        assert full.startswith(f"v{name}.")
        assert version_named(name).lock.with_name("go.sum").exists()
    with pytest.raises(GoError, match=r"not locked here, wanted one of 1\.36, 1\.37"):
        version_named("1.20")
