"""The serial console of a guest that does not stop talking, of one that is not logged, and under two launchers."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from launcher.observe.ring import MOST_BYTES
from tests.faults.conftest import Launch
from tests.faults.ends import destroy, lines_of
from tests.faults.places import wait_until
from tests.qemu.guests import Launcher, manifest

CHATTER = b"i=0; while :; do echo line $i; i=$((i+1)); done\n"


def talkative(*, logged: bool = True) -> dict[str, object]:
    made = manifest(cores=1, kernel_arguments="guest.shell=yes")
    made["spec"]["domain"]["devices"]["logSerialConsole"] = logged
    return made


def type_in(launcher: Launcher, keys: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(str(launcher.root / "run/serial0.sock"))
        console.sendall(keys)


def size_of_logs(root: Path) -> int:
    return sum(path.stat().st_size for path in (root / "log").rglob("*") if path.is_file())


@pytest.mark.parametrize("logged", [True, False], ids=["logged", "not logged"])
def test_a_guest_that_never_stops_talking_fills_no_disk(launch: Launch, root: Path, *, logged: bool) -> None:
    launcher = launch(talkative(logged=logged))
    launcher.wait_for("phase: running")
    if logged:
        launcher.wait_for("guest: ready")
    else:
        with socket.socket(socket.AF_UNIX) as console:
            console.connect(str(root / "run/serial0.sock"))
            said = b""
            while b"guest: ready" not in said:
                said += console.recv(4096)
        assert not lines_of(launcher, r"console \| ")
        assert not list((root / "log").glob("*serial*"))
    type_in(launcher, CHATTER)
    before_s = time.monotonic()
    while time.monotonic() < before_s + 8:
        time.sleep(0.5)
        assert size_of_logs(root) < 2 * MOST_BYTES + (256 << 10)
    if logged:
        # The newest is there.
        (log,) = (root / "log").glob("*-serial0.log")
        newest = log.read_bytes().splitlines()[-2]
        wait_until(lambda: newest.decode() in launcher.output, "the newest line is shown, too")
    assert destroy(launcher) in (0, 9)
    assert not list((root / "log").glob("*serial*"))


def test_an_adopted_guests_console_goes_on(launch: Launch, root: Path) -> None:
    killed = launch(talkative())
    killed.wait_for("guest: ready")
    killed.process.kill()
    killed.wait()
    # QEMU waits for nobody.
    adopter = launch(talkative())
    adopter.wait_for("phase: running")
    type_in(adopter, b"echo still $((20 + 22))\n")
    adopter.wait_for(r"console \| still 42")
    (log,) = (root / "log").glob("*-serial0.log")
    assert b"guest: ready" in log.read_bytes(), "the log goes on, too"
    assert destroy(adopter) in (0, 9)


def test_one_who_attaches_and_reads_nothing_holds_up_nobody(launch: Launch) -> None:
    launcher = launch(talkative())
    launcher.wait_for("guest: ready")
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(str(launcher.root / "run/serial0.sock"))
        console.sendall(b"i=0; while [ $i -lt 30000 ]; do echo a line of words $i; i=$((i+1)); done; echo the end\n")
        launcher.wait_for(r"console \| the end")
    assert destroy(launcher) in (0, 9)
