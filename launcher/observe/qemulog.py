"""QEMU's own log as libvirt keeps it: what QEMU said, without the command line that libvirt writes before it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

# How many of QEMU's last words go into the termination message.
LAST_LINES = 8


class QEMULog:
    """Takes the lines of libvirt's log file of one domain, hands on what QEMU said, and remembers the end of it."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._in_command = False
        self._last: deque[str] = deque(maxlen=LAST_LINES)

    def take(self, line: str) -> None:
        """Take one line. A start is logged as a line with the versions, and then one word of the command a line, all
        but the last of which end in a backslash."""
        starts = "starting up libvirt version" in line
        if starts or self._in_command:
            self._in_command = starts or line.endswith("\\")
            if starts:
                # What came before was said by a QEMU of another life.
                self._last.clear()
            return
        self._last.append(line)
        self._on_line(line)

    @property
    def last_words(self) -> str:
        """The last lines, joined; empty where QEMU said nothing."""
        return "\n".join(self._last)
