"""A launcher outside of every container, on CPUs of the node that the test chooses."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.containers import Manifest
from tests.qemu.guests import Launcher


@contextmanager
def confined(vmi: Manifest, cpus: Iterable[int]) -> Iterator[Launcher]:
    """Run the guest on these CPUs, emulated, until it runs; its end is by force where it has not booted."""
    folder = Path(tempfile.mkdtemp(prefix="vl-", dir="/tmp"))
    (folder / "vmi.yaml").write_text(json.dumps(vmi))
    prefix = ("taskset", "-c", ",".join(map(str, cpus)))
    launcher = Launcher(folder / "vmi.yaml", folder / "root", ("--grace-period", "1"), {}, prefix=prefix)
    # QEMU starts in an emulation here.
    launcher.wait_for("phase: running", 300)
    yield launcher
    launcher.signal(signal.SIGTERM)
    status = launcher.wait()
    shutil.rmtree(folder)
    assert status in (0, 9), launcher.output
