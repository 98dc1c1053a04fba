"""TERM at every moment of a start, in which several things go on at once: it ends as it should, with nothing left."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Launch, clean_root, launchers
from tests.faults.places import wait_until
from tests.faults.test_failed_starts import with_discs
from tests.faults.test_signals import BLOCKED, is_launcher

# `make test` tries so many; pytest itself with VIRT_LAUNCHER_MOMENTS=200 as many as that (some seconds each).
SAMPLE = 12
MOMENTS = int(os.environ.get("VIRT_LAUNCHER_MOMENTS", SAMPLE))
# The last moments are those of a guest that runs already.
BEYOND = 1.1
# A guest that runs is not given time to power off: whoever asks for its end destroys it.
ARGUMENTS = ("--grace-period", "0")


@pytest.fixture(scope="module")
def start_s(capabilities: Path, two_cpus: tuple[int, int]) -> float:
    """How long a start takes here and now, from the launcher's first moment to its guest that runs; in seconds."""
    with (
        clean_root(capabilities) as root,
        tempfile.TemporaryDirectory() as folder,
        launchers(root, Path(folder)) as launch,
    ):
        launcher = launch(with_discs(), *ARGUMENTS, prefix=BLOCKED)
        wait_until(lambda: is_launcher(launcher), "the program is there")
        began_s = time.monotonic()
        launcher.wait_for("phase: running")
        took_s = time.monotonic() - began_s
        launcher.signal(signal.SIGTERM)
        assert launcher.wait() == 9, launcher.output
    return took_s


@pytest.mark.parametrize("moment", range(MOMENTS), ids=lambda moment: f"moment {moment + 1} of {MOMENTS}")
def test_a_wish_for_the_end_is_granted_at_each_moment_of_the_start(
    launch: Launch, root: Path, start_s: float, moment: int
) -> None:
    launcher = launch(with_discs(), *ARGUMENTS, prefix=BLOCKED)
    # By then it is the launcher, or about to be: nobody has unblocked anything.
    wait_until(lambda: is_launcher(launcher), "the program is there")
    time.sleep(BEYOND * start_s * moment / MOMENTS)
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 9, launcher.output
    assert "Traceback" not in launcher.output
    assert not (root / "storage").exists()
    assert not list((root / "lib/qemu").glob("qmp-*"))
