"""The guest's serial console as a stream of lines: the log that QEMU writes, followed while it grows."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

# Lines appear within a fifth of a second; an idle look is one system call.
POLL_INTERVAL_S = 0.2
# A guest that never ends its line is shown in pieces of this many bytes.
LONGEST_LINE_BYTES = 4096
_READ_BYTES = 65536


class ConsoleFollower:
    """Reads a growing file in a thread of its own and hands over each line, without its end, as text."""

    def __init__(self, path: str, on_line: Callable[[str], None], *, from_end: bool = False) -> None:
        """Prepare to follow the file, which need not exist yet; `from_end` leaves out what it holds already."""
        self._path = path
        self._on_line = on_line
        self._from_end = from_end
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)
        self._rest = b""

    def start(self) -> None:
        """Begin to follow, from the beginning of the file."""
        self._thread.start()

    def stop(self) -> None:
        """Hand over what is left, the unfinished last line too, and end; waits at most two seconds."""
        self._stop.set()
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        descriptor = self._open()
        if descriptor is None:
            return
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - an open descriptor, not a path
            if self._from_end:
                file.seek(0, os.SEEK_END)
            while not self._stop.wait(POLL_INTERVAL_S):
                self._drain(file.fileno())
            self._drain(file.fileno())
        if self._rest:
            self._emit(self._rest)

    def _open(self) -> int | None:
        while True:
            try:
                return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                if self._stop.wait(POLL_INTERVAL_S):
                    return None

    def _drain(self, descriptor: int) -> None:
        while chunk := os.read(descriptor, _READ_BYTES):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._emit(line)
            while len(self._rest) > LONGEST_LINE_BYTES:
                self._emit(self._rest[:LONGEST_LINE_BYTES])
                self._rest = self._rest[LONGEST_LINE_BYTES:]

    def _emit(self, line: bytes) -> None:
        self._on_line(line.decode("utf-8", "replace"))
