"""Real guests under real QEMU (TCG) through the embedded driver: what the tests of this folder share."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.qemu.guests import INITRD, KERNEL, Launcher, environment_of_a_checkout
from tests.qemu.known import find_out, hand_out, shared_folder


@pytest.fixture(scope="session")
def two_cpus() -> Iterator[tuple[int, int]]:
    """Two CPUs of this machine; everything the tests start is confined to them, so that the plans are known."""
    before = os.sched_getaffinity(0)
    if len(before) < 2:
        pytest.fail(f"the tests with a real QEMU need two CPUs, found {sorted(before)}")
    first, second = sorted(before)[:2]
    os.sched_setaffinity(0, {first, second})
    yield first, second
    os.sched_setaffinity(0, before)


@pytest.fixture(scope="session")
def capabilities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with libvirt's cache of QEMU's capabilities, found out once for the guests of every worker."""
    folder = shared_folder(tmp_path_factory)
    find_out(folder, environment_of_a_checkout())
    return folder


@pytest.fixture
def root(capabilities: Path) -> Iterator[Path]:
    """A root with a short path, and a check that the test left no QEMU behind it."""
    folder = Path(tempfile.mkdtemp(prefix="vl-", dir="/tmp"))
    hand_out(capabilities, folder / "cache")
    yield folder
    left = _end_leftovers(folder)
    shutil.rmtree(folder)
    assert left == [], "a QEMU was left running"


def _end_leftovers(root: Path) -> list[str]:
    left = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if command.partition(b"\0")[0].endswith(b"qemu-system-x86_64") and str(root).encode() in command:
            left.append(entry.name)
            os.kill(int(entry.name), signal.SIGKILL)
    return left


@pytest.fixture
def launch(root: Path, tmp_path: Path, two_cpus: tuple[int, int]) -> Iterator[Callable[..., Launcher]]:
    """Start launchers over one root; whatever still runs at the end of the test is killed."""
    for needed in (KERNEL, INITRD):
        if not needed.exists():
            pytest.fail(f"{needed} is not there: build the demo guest with `make guest`")
    started: list[Launcher] = []

    def start(
        vmi: dict[str, Any],
        *arguments: str,
        environment: dict[str, str] | None = None,
        prefix: tuple[str, ...] = (),
    ) -> Launcher:
        path = tmp_path / "vmi.yaml"
        path.write_text(json.dumps(vmi))
        started.append(Launcher(path, root, arguments, environment or {}, prefix))
        return started[-1]

    yield start
    for launcher in started:
        if launcher.process.poll() is None:
            launcher.process.kill()
            launcher.process.wait()
