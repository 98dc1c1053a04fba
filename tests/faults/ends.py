"""How the tests end their guests, and what they read in a launcher's output."""

from __future__ import annotations

import re
import signal

from tests.faults.places import wait_until
from tests.qemu.guests import Launcher


def lines_of(launcher: Launcher, pattern: str) -> list[str]:
    """Return the lines so far in which the pattern is found."""
    return [line for line in launcher.lines if re.search(pattern, line)]


def last(launcher: Launcher) -> str:
    """Return the launcher's last line, which says why it ended."""
    return launcher.lines[-1]


def destroy(launcher: Launcher) -> int:
    """Ask for the end until it has come, whether or not the guest listens yet, and return the exit status.

    A guest that has booted meanwhile powers off in order at the first word; it is then as well ended as if destroyed,
    which is what 9 stands for here.
    """
    asked = len(lines_of(launcher, "asked: destroy"))

    def destroyed() -> bool:
        if launcher.process.poll() is not None:
            return True
        if len(lines_of(launcher, "asked: destroy")) == asked:
            launcher.signal(signal.SIGTERM)
        return False

    wait_until(destroyed, "the launcher has ended")
    status = launcher.wait()
    return 9 if status == 0 and lines_of(launcher, "ended: the guest powered off") else status
