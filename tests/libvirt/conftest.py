"""What the tests with a libvirtd share: one libvirtd for all of them, and launchers connected to it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import Launch, clean_root, cpuset, launchers
from tests.faults.places import kill_all, qemu_below, running_below
from tests.libvirt.daemon import PrivateLibvirtd
from tests.qemu.conftest import capabilities, two_cpus

__all__ = ["capabilities", "cpuset", "two_cpus"]


@pytest.fixture(scope="module")
def daemon(capabilities: Path) -> Iterator[PrivateLibvirtd]:
    """A libvirtd of our own, alive when the tests begin; whatever it started is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="vl-", dir="/tmp"))
    made = PrivateLibvirtd(folder, capabilities)
    made.start()
    yield made
    made.kill()
    kill_all(running_below(folder))
    shutil.rmtree(folder)


@pytest.fixture
def root(capabilities: Path) -> Iterator[Path]:
    """The launcher's own root, which must be clean afterwards."""
    with clean_root(capabilities) as folder:
        yield folder


@pytest.fixture
def launch(root: Path, daemon: PrivateLibvirtd, tmp_path: Path, two_cpus: tuple[int, int]) -> Iterator[Launch]:
    """Start launchers that work through the libvirtd; its guests name its folder, not the launcher's root."""
    with launchers(root, tmp_path) as start:
        assert qemu_below(daemon.folder) is None, "an earlier test has left its guest"
        yield lambda vmi, *arguments, **more: start(vmi, "--connect", daemon.uri, *arguments, **more)
    left = qemu_below(daemon.folder)
    kill_all([] if left is None else [left])
    assert left is None, "a QEMU was left running"
