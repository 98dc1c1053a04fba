"""A launcher that is killed while its guest ends, and started again at once: whose end was it?"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.boot_sector import READY
from tests.faults.conftest import Launch
from tests.faults.ends import destroy, lines_of
from tests.faults.places import qemu_below, running_below, wait_until
from tests.qemu.guests import Launcher, small_manifest

# A UUID in the manifest: the next guest's is the same, so that it tells nothing.
UUID = "5d307ca9-b3ef-428c-8861-06e72d69f223"

Moment = Callable[[Launcher], None]


@pytest.fixture
def vmi() -> dict[str, Any]:
    """Return the manifest of a guest that is up at once and heeds the button, whichever life it is in."""
    made = small_manifest(cores=1)
    made["spec"]["domain"]["firmware"]["uuid"] = UUID
    return made


def after_asking(milliseconds: int) -> Moment:
    """The guest was asked to power off so long ago."""

    def wait(launcher: Launcher) -> None:
        launcher.signal(signal.SIGTERM)
        launcher.wait_for("asked: ask to shut down")
        time.sleep(milliseconds / 1000)

    return wait


def after_destroying(milliseconds: int) -> Moment:
    """The guest was destroyed so long ago."""

    def wait(launcher: Launcher) -> None:
        launcher.signal(signal.SIGTERM)
        launcher.wait_for("asked: ask to shut down")
        time.sleep(0.25)
        launcher.signal(signal.SIGTERM)
        wait_until(
            lambda: bool(lines_of(launcher, "asked: destroy|phase: end")) or launcher.process.poll() is not None, "end"
        )
        time.sleep(milliseconds / 1000)

    return wait


def after_qemus_death(milliseconds: int) -> Moment:
    """QEMU was killed so long ago."""

    def wait(launcher: Launcher) -> None:
        pid = qemu_below(launcher.root)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        time.sleep(milliseconds / 1000)

    return wait


MOMENTS: dict[str, Moment] = {
    **{f"{ms} ms after the guest was asked to power off": after_asking(ms) for ms in (0, 30, 60, 100, 150, 250)},
    **{f"{ms} ms after the guest was destroyed": after_destroying(ms) for ms in (0, 10, 100)},
    **{f"{ms} ms after QEMU was killed": after_qemus_death(ms) for ms in (0, 5)},
}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS.keys())
def test_the_end_of_a_former_guest_is_not_taken_for_the_next_ones(
    launch: Launch, vmi: dict[str, Any], moment: Moment
) -> None:
    killed = launch(vmi)
    killed.wait_for(READY)
    moment(killed)
    killed.signal(signal.SIGKILL)
    killed.wait()
    successor = launch(vmi)
    wait_until(lambda: has_settled(successor), "the next launcher watches a guest, or has seen the last one's end")
    if successor.process.poll() is not None:
        # The former guest was adopted, and its end is what is told.
        assert lines_of(successor, "adopted: "), successor.output
        assert successor.wait() in (0, 8, 9), successor.output
    else:
        assert destroy(successor) in (0, 9)
    assert not running_below(successor.root), successor.output


def has_settled(launcher: Launcher) -> bool:
    """Tell whether the launcher is through with whatever it found."""
    if launcher.process.poll() is not None:
        return True
    return bool(lines_of(launcher, "phase: running")) and bool(lines_of(launcher, f"adopted: |{READY}"))
