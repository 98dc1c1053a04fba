"""A shell in a demo guest (guest.shell=yes), typed to over its serial console."""

from __future__ import annotations

import socket
import time

from tests.faults.ends import lines_of
from tests.faults.places import wait_until
from tests.qemu.guests import Launcher

_ANSWER = r"console \| shell 2"


def wait_for_shell(launcher: Launcher) -> None:
    """Type until the guest's shell answers: as it starts it drops what was typed before."""
    launcher.wait_for("guest: ready")
    before = len(lines_of(launcher, _ANSWER))

    def answers() -> bool:
        type_in(launcher, b"echo shell $((1 + 1))\n")
        time.sleep(0.5)
        return len(lines_of(launcher, _ANSWER)) > before

    wait_until(answers, "the guest's shell answers")


def type_in(launcher: Launcher, keys: bytes) -> None:
    """Send the keys as somebody at the console would."""
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(str(launcher.root / "run/serial0.sock"))
        console.sendall(keys)
