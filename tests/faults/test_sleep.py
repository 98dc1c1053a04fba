"""A guest that goes to sleep: it has no sleep to go to, and where a site gives it one it is woken."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.faults.conftest import Launch
from tests.faults.ends import destroy, lines_of
from tests.faults.places import wait_until
from tests.faults.shells import type_in, wait_for_shell
from tests.qemu.guests import Launcher, manifest

SLEEP = b"echo mem > /sys/power/state; echo awake $((20 + 22))\n"
WITH_SLEEP = """<domain><features><acpi/></features>
<pm><suspend-to-mem enabled="yes"/></pm>
<devices><controller type="usb" model="none"/><memballoon model="none"/></devices></domain>"""


def test_a_guest_cannot_sleep(launch: Launch) -> None:
    launcher = launch(manifest(cores=1, kernel_arguments="guest.shell=yes"))
    wait_for_shell(launcher)
    # Linux answers `mem` with an idle of its own (s2idle) where the board has no S3: what the board has is asked.
    type_in(launcher, b"dmesg | sed -n 's/.*(supports /board: /p'\n")
    launcher.wait_for(r"console \| board: S0 S5\)")
    assert destroy(launcher) in (0, 9)


def _asleep(launch: Launch, tmp_path: Path) -> Launcher:
    """Start a guest on a board that can sleep, and have it sleep; it does so once: Linux then finds itself woken."""
    template = tmp_path / "template.xml"
    template.write_text(WITH_SLEEP)
    launcher = launch(manifest(cores=1, kernel_arguments="guest.shell=yes"), "--template", str(template))
    wait_for_shell(launcher)
    type_in(launcher, SLEEP)
    launcher.wait_for("phase: paused")
    return launcher


def test_a_guest_that_sleeps_is_paused_and_is_woken_by_resume(launch: Launch, tmp_path: Path) -> None:
    launcher = _asleep(launch, tmp_path)
    launcher.ask("resume")
    wait_until(lambda: len(lines_of(launcher, "phase: running")) == 2, "it runs again")
    launcher.wait_for(r"console \| awake 42")
    assert destroy(launcher) in (0, 9)


def test_a_guest_that_sleeps_is_woken_by_the_wish_for_its_end(launch: Launch, tmp_path: Path) -> None:
    launcher = _asleep(launch, tmp_path)
    launcher.process.send_signal(signal.SIGTERM)
    wait_until(lambda: len(lines_of(launcher, "asked: resume")) == 2, "it is woken to be asked")
    assert destroy(launcher) in (0, 9)
