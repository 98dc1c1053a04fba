"""A log that another program writes as a stream of lines: followed while it grows, and kept from growing for ever."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

from launcher.observe.inotify import GrowthWatch
from launcher.observe.lines import LONGEST_LINE_BYTES as LONGEST_LINE_BYTES  # noqa: PLC0414 - also looked for here
from launcher.observe.lines import Lines
from launcher.observe.ring import shorten

# How often is looked for a file that is not there yet.
OPEN_INTERVAL_S = 0.1
# The kernel tells when the file grows; where it has no watch to give, a look now and then has to do.
POLL_INTERVAL_S = 0.5
# With a watch, too, there is a look now and then: some network and overlay file systems take one and never tell.
DOUBT_INTERVAL_S = 10.0
# A guest writes byte by byte: the first one wakes the follower, which then lets some more come.
GATHER_S = 0.05
_READ_BYTES = 65536


class ConsoleFollower:
    """Reads a growing file in a thread of its own and hands over each line, without its end, as text."""

    def __init__(
        self, path: str, on_line: Callable[[str], None], *, from_end: bool = False, others: tuple[str, ...] = ()
    ) -> None:
        """Prepare to follow the file, which need not exist yet; `from_end` leaves out what it holds already.

        It is emptied where it grows too long, and so are `others`, logs that nobody reads.
        """
        self._others = others
        self._path = path
        self._lines = Lines(on_line)
        self._from_end = from_end
        self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)

    def start(self) -> None:
        """Begin to follow, from the beginning of the file."""
        self._thread.start()

    def stop(self) -> None:
        """Hand over what is left, the unfinished last line too, and end; waits at most two seconds."""
        os.eventfd_write(self._stop, 1)
        self._thread.join(timeout=2.0)
        if not self._thread.is_alive():
            os.close(self._stop)

    def _run(self) -> None:
        descriptor = self._open()
        if descriptor is None:
            return
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - an open descriptor, not a path
            if self._from_end:
                file.seek(0, os.SEEK_END)
            self._follow(file.fileno())
        self._lines.end()

    def _open(self) -> int | None:
        while True:
            try:
                return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                if self._is_stopped_within(OPEN_INTERVAL_S):
                    return None

    def _follow(self, descriptor: int) -> None:
        watch = GrowthWatch(self._path)
        waited_for = [self._stop, watch.fileno()] if watch.is_watching else [self._stop]
        interval_s = DOUBT_INTERVAL_S if watch.is_watching else POLL_INTERVAL_S
        stopped = False
        while not stopped:
            watch.forget()
            self._drain(descriptor)
            has_news = bool(select.select(waited_for, [], [], interval_s)[0])
            stopped = has_news and self._is_stopped_within(GATHER_S)
        self._drain(descriptor)
        watch.close()

    def _is_stopped_within(self, seconds: float) -> bool:
        return bool(select.select([self._stop], [], [], seconds)[0])

    def _drain(self, descriptor: int) -> None:
        while chunk := os.read(descriptor, _READ_BYTES):
            self._lines.take(chunk)
        for path in (self._path, *self._others):
            if shorten(path) and path == self._path:
                os.lseek(descriptor, 0, os.SEEK_SET)
