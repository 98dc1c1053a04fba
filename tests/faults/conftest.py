"""What the faults share: roots that must be clean afterwards, launchers over them, and cpusets of the tests' own."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.places import Cpuset, cpuset_of, kill_all, left_below, running_below
from tests.qemu.conftest import capabilities, two_cpus
from tests.qemu.guests import INITRD, KERNEL, Launcher
from tests.qemu.known import hand_out

__all__ = ["capabilities", "two_cpus"]

Launch = Callable[..., Launcher]


@contextmanager
def clean_root(capabilities: Path) -> Iterator[Path]:
    """Make a root with a short path; when its user is done nothing may be left of what ran there."""
    folder = Path(tempfile.mkdtemp(prefix="vl-", dir="/tmp"))
    hand_out(capabilities, folder / "cache")
    try:
        yield folder
        left = left_below(folder)
    finally:
        kill_all(running_below(folder))
        shutil.rmtree(folder)
    assert not left, f"something is left of the guest: {', '.join(left)}"


@contextmanager
def launchers(root: Path, folder: Path) -> Iterator[Launch]:
    """Start launchers over one root; whatever still runs at the end is killed."""
    for needed in (KERNEL, INITRD):
        if not needed.exists():
            pytest.fail(f"{needed} is not there: build the demo guest with `make guest`")
    started: list[Launcher] = []

    def start(
        vmi: dict[str, Any],
        *arguments: str,
        prefix: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
    ) -> Launcher:
        path = folder / "vmi.yaml"
        path.write_text(json.dumps(vmi))
        started.append(Launcher(path, root, arguments, environment or {}, prefix))
        return started[-1]

    try:
        yield start
    finally:
        for launcher in started:
            if launcher.process.poll() is None:
                launcher.process.kill()
                launcher.process.wait()


@pytest.fixture
def root(capabilities: Path) -> Iterator[Path]:
    """A root with a short path that must be clean afterwards."""
    with clean_root(capabilities) as folder:
        yield folder


@pytest.fixture
def launch(root: Path, tmp_path: Path, two_cpus: tuple[int, int]) -> Iterator[Launch]:
    """Start launchers over the root of this test."""
    with launchers(root, tmp_path) as start:
        yield start


@pytest.fixture
def cpuset(root: Path, two_cpus: tuple[int, int]) -> Iterator[Cpuset]:
    """A cpuset of the two CPUs; it outlives the launchers and their guests."""
    with cpuset_of(*two_cpus) as made:
        yield made
        kill_all(running_below(root))
