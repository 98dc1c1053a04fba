"""Bytes of a console made into lines of text."""

from __future__ import annotations

from collections.abc import Callable

# A guest that never ends its line is shown in pieces of this many bytes.
LONGEST_LINE_BYTES = 4096


class Lines:
    """Takes bytes as they come, and hands over each line, without its end, as text."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = b""

    def take(self, chunk: bytes) -> None:
        """Take some more bytes."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._emit(line)
        while len(self._rest) > LONGEST_LINE_BYTES:
            self._emit(self._rest[:LONGEST_LINE_BYTES])
            self._rest = self._rest[LONGEST_LINE_BYTES:]

    def end(self) -> None:
        """Hand over the last line, which nobody has ended."""
        if self._rest:
            self._emit(self._rest)
        self._rest = b""

    def _emit(self, line: bytes) -> None:
        self._on_line(line.decode("utf-8", "replace"))
