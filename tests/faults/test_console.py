"""The serial console of a guest that does not stop talking, of one that is not logged, and under two launchers."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from launcher.observe.ring import MOST_BYTES
from tests.e2e.boot_sector import LINE_BYTES, READY, Sector, number_of
from tests.faults.conftest import Launch
from tests.faults.ends import destroy, lines_of
from tests.faults.places import wait_until
from tests.qemu.guests import Launcher, small_manifest

# The bridge takes what the guest says as fast as from a real port of 115,200 baud: ten seconds of it.
ENOUGH_BYTES = 100_000
# More than all sockets on its way hold, and what the bridge keeps for somebody who does not read.
FLOOD_BYTES = 600_000


def talkative(*, logged: bool = True) -> dict[str, object]:
    """Return a guest that begins to talk at the first key."""
    made = small_manifest(cores=1, sector=Sector(talks=True))
    made["spec"]["domain"]["devices"]["logSerialConsole"] = logged
    return made


def type_in(launcher: Launcher, keys: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(str(launcher.root / "run/serial0.sock"))
        console.sendall(keys)


def sizes_of_logs(root: Path) -> list[int]:
    return [path.stat().st_size for path in (root / "log").rglob("*") if path.is_file()]


def said_bytes(newest: str) -> int:
    """Return how much the guest has said by the newest whole line of these, each of which has its number."""
    numbers = [number_of(line.rpartition(" ")[2]) for line in newest.splitlines()]
    return LINE_BYTES * next((number for number in reversed(numbers) if number is not None), 0)


def in_log(root: Path) -> int:
    (log,) = (root / "log").glob("*-serial0.log")
    return said_bytes(log.read_bytes()[-10 * LINE_BYTES :].decode())


def shown(launcher: Launcher) -> int:
    return said_bytes("\n".join(launcher.lines[-10:]))


def heard(root: Path) -> int:
    """Attach to the console, listen to some lines, and go again."""
    with socket.socket(socket.AF_UNIX) as console:
        console.settimeout(60)
        console.connect(str(root / "run/serial0.sock"))
        heard = b""
        while heard.count(b"\n") < 3:
            heard += console.recv(4096)
    return said_bytes(heard.decode())


@pytest.mark.parametrize("logged", [True, False], ids=["logged", "not logged"])
def test_a_guest_that_never_stops_talking_fills_no_disk(launch: Launch, root: Path, *, logged: bool) -> None:
    launcher = launch(talkative(logged=logged))
    launcher.wait_for("phase: running")
    if logged:
        launcher.wait_for(READY)
    else:
        with socket.socket(socket.AF_UNIX) as console:
            console.connect(str(root / "run/serial0.sock"))
            said = b""
            while READY.encode() not in said:
                said += console.recv(4096)
        assert not lines_of(launcher, r"console \| ")
        assert not list((root / "log").glob("*serial*"))
    type_in(launcher, b"\n")

    def has_said_enough() -> bool:
        sizes = sizes_of_logs(root)
        assert max(sizes) <= MOST_BYTES
        assert sum(sizes) < 2 * MOST_BYTES + (256 << 10)
        return (in_log(root) if logged else heard(root)) > ENOUGH_BYTES

    wait_until(has_said_enough, "it has talked for long")
    if logged:
        newest = in_log(root)
        wait_until(lambda: shown(launcher) >= newest, "the newest line is shown, too")
    assert destroy(launcher) == 9
    assert not list((root / "log").glob("*serial*"))


def test_an_adopted_guests_console_goes_on(launch: Launch, root: Path) -> None:
    vmi = small_manifest(cores=1, sector=Sector(echoes=True))
    killed = launch(vmi)
    killed.wait_for(READY)
    killed.process.kill()
    killed.wait()
    # QEMU waits for nobody.
    adopter = launch(vmi)
    adopter.wait_for("phase: running")
    type_in(adopter, b"still there\r\n")
    adopter.wait_for(r"console \| still there")
    (log,) = (root / "log").glob("*-serial0.log")
    assert READY.encode() in log.read_bytes(), "the log goes on, too"
    assert destroy(adopter) in (0, 9)


def test_one_who_attaches_and_reads_nothing_holds_up_nobody(launch: Launch) -> None:
    launcher = launch(talkative())
    launcher.wait_for(READY)
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(str(launcher.root / "run/serial0.sock"))
        console.sendall(b"\n")
        wait_until(lambda: shown(launcher) > FLOOD_BYTES, "what it says is shown all the same")
    assert destroy(launcher) == 9
