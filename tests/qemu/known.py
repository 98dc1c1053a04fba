"""What libvirt finds out about QEMU, found out once for all tests of a run: that takes seconds."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

# A guest without even a card, for which a machine may lack what it takes: what QEMU is asked does not depend on it.
_GUEST = """
apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata: {name: any}
spec: {domain: {devices: {autoattachPodInterface: false}, memory: {guest: 64Mi}}}
"""
# On a machine that has much else to do.
_PATIENCE_S = 300.0


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """Return the folder of this run for what is known; pytest-xdist's workers have theirs below that of the run."""
    own = factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "known"
    folder.mkdir(exist_ok=True)
    return folder


def find_out(known: Path, environment: dict[str, str]) -> None:
    """Have libvirt ask QEMU where nothing is known yet; whoever comes meanwhile waits instead of asking, too."""
    with (known / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (known / "qemu").exists():
            return
        with tempfile.TemporaryDirectory(prefix="vl-", dir="/tmp") as root:
            words = [sys.executable, "-m", "launcher", "render", "--format", "argv", "--root", root, "-"]
            subprocess.run(
                words,
                input=_GUEST,
                text=True,
                stdout=subprocess.DEVNULL,
                env=environment,
                timeout=_PATIENCE_S,
                check=True,
            )
            # It is there whole or not at all.
            shutil.copytree(Path(root) / "render/cache/qemu", known / "partial")
            (known / "partial").rename(known / "qemu")


def hand_out(known: Path, cache: Path) -> None:
    """Lay what is known into a libvirt's cache that knows nothing yet."""
    shutil.copytree(known / "qemu", cache / "qemu")
