"""Signals: each that asks for the end gets it, from the first moment on; those that mean nothing change nothing."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.e2e.boot_sector import Sector
from tests.faults.conftest import Launch
from tests.faults.ends import destroy, last, lines_of
from tests.faults.places import running_below, wait_until
from tests.qemu.guests import Launcher, manifest, small_manifest

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
# What would end a process that does nothing about it (signal(7)) and is no fault of its own.
MEANINGLESS = [
    *("SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGPIPE", "SIGWINCH", "SIGIO", "SIGPWR"),
    *("SIGSTKFLT", "SIGXCPU", "SIGXFSZ", "SIGURG"),
]
# Whoever starts a process may have its signals wait until it is ready for them.
BLOCKED = ("env", "--block-signal=TERM,INT,HUP,QUIT")
MOMENTS_MS = (0, 5, 10, 20, 30, 50, 75, 100, 150, 200, 250, 300)


@pytest.fixture
def deaf(launch: Launch) -> Launcher:
    """A guest that runs and ignores the power button."""
    launcher = launch(small_manifest(cores=1, sector=Sector(is_deaf=True)))
    launcher.wait_for("phase: running")
    return launcher


def test_what_means_nothing_is_ignored_and_the_guest_goes_on(deaf: Launcher) -> None:
    numbers = [getattr(signal, name) for name in MEANINGLESS]
    for number in (*numbers, *range(signal.SIGRTMIN, signal.SIGRTMAX + 1)):
        deaf.process.send_signal(number)
    time.sleep(0.5)
    assert deaf.process.poll() is None, deaf.output
    assert not lines_of(deaf, "asked: ask|phase: shutting down")
    assert destroy(deaf) == 9


@pytest.mark.parametrize("number", STOPS, ids=[number.name for number in STOPS])
def test_each_signal_that_asks_for_the_end_is_a_wish_to_power_off(deaf: Launcher, number: signal.Signals) -> None:
    deaf.signal(number)
    deaf.wait_for("phase: shutting down")
    deaf.wait_for("asked: ask to shut down")
    time.sleep(0.3)
    deaf.signal(number)
    assert deaf.wait() == 9, deaf.output
    assert f"destroyed: {number.name} came while it was shutting down" in last(deaf)


@pytest.mark.parametrize("milliseconds", MOMENTS_MS)
def test_a_wish_for_the_end_in_the_first_moments_is_heard(launch: Launch, milliseconds: int) -> None:
    launcher = launch(manifest(cores=1), prefix=BLOCKED)
    # By then it is the launcher, or about to be: nobody has unblocked anything.
    wait_until(lambda: is_launcher(launcher), "the program is there")
    time.sleep(milliseconds / 1000)
    launcher.signal(STOPS[milliseconds % 4])
    assert launcher.wait() == 9, launcher.output
    assert "Traceback" not in launcher.output
    assert not running_below(launcher.root)


def is_launcher(launcher: Launcher) -> bool:
    """Tell whether `env` has blocked the signals and become the launcher; what just becomes `env` has no words yet."""
    command = Path(f"/proc/{launcher.process.pid}/cmdline").read_bytes()
    return command != b"" and b"--block-signal" not in command


def test_a_hangup_that_nohup_has_ignored_stays_ignored(launch: Launch) -> None:
    launcher = launch(small_manifest(cores=1, sector=Sector(is_deaf=True)), prefix=("nohup",))
    launcher.wait_for("phase: running")
    launcher.signal(signal.SIGHUP)
    time.sleep(0.5)
    assert launcher.process.poll() is None
    assert not lines_of(launcher, "asked: ask")
    assert destroy(launcher) == 9
