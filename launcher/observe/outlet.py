"""The way out: standard output and standard error, written by a thread of their own that alone waits for readers."""

from __future__ import annotations

import io
import itertools
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TextIO

# As the kernel numbers them (stdin(3)).
STDOUT, STDERR = 1, 2

# So much waits for a reader that is slow or gone for a while: some two thousand lines.
MOST_BYTES = 256 * 1024
# At the end a reader that lives has taken the rest within milliseconds.
FLUSH_TIMEOUT_S = 2.0
# A pipe that can be written at all takes so much without blocking (pipe(7), PIPE_BUF).
_WRITE_BYTES = select.PIPE_BUF
# Between two tries on a descriptor that can be written, it says, and then cannot.
_RETRY_S = 0.05


class _Channel:
    """What waits for one descriptor: numbered pieces, and the one that is being written; guarded by the outlet."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.pieces: deque[tuple[int, bytes]] = deque()
        self.waiting_bytes = 0
        self.dropped = 0
        self.notice: Callable[[int], str] = _notice
        self.number = 0
        # The rest of what is being written, and how many pieces it tells of.
        self.rest = b""
        self.rest_pieces = 0

    @property
    def is_pending(self) -> bool:
        return bool(self.rest or self.pieces)

    @property
    def next_number(self) -> int:
        return self.number if self.rest else self.pieces[0][0]

    def append(self, number: int, piece: bytes, most_bytes: int) -> None:
        """Take a piece; the oldest make way for it, for the last words are what is looked for after a fault."""
        self.pieces.append((number, piece))
        self.waiting_bytes += len(piece)
        while self.waiting_bytes > most_bytes and len(self.pieces) > 1:
            self.waiting_bytes -= len(self.pieces.popleft()[1])
            self.dropped += 1

    def begin(self) -> None:
        """Take up the next piece; where some are missing before it, that is said first."""
        if self.rest:
            return
        self.number, piece = self.pieces.popleft()
        self.waiting_bytes -= len(piece)
        self.rest, self.rest_pieces = piece, 1
        if self.dropped:
            self.rest, self.rest_pieces = self.notice(self.dropped).encode() + piece, self.dropped + 1
            self.dropped = 0

    def fail(self) -> None:
        """Count what cannot be written as dropped."""
        self.dropped += self.rest_pieces
        self.rest = b""


class Outlet:
    """Takes pieces of text for descriptors and writes them in order, in a thread that alone waits for the readers.

    The order is kept between descriptors, too, as long as all are read. Nothing here raises for a reader that is gone
    or a disk that is full: what could not be written is counted, and told before the next piece that can be.
    """

    def __init__(self, descriptors: Iterable[int], *, most_bytes: int = MOST_BYTES) -> None:
        """Begin to write; at most so many bytes wait for each descriptor."""
        self._channels = {descriptor: _Channel(descriptor) for descriptor in descriptors}
        self._most_bytes = most_bytes
        self._numbers = itertools.count()
        self._news = threading.Condition()
        self._is_given_up = False
        self._wake_up = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        threading.Thread(target=self._run, name="outlet", daemon=True).start()

    def tell_dropped_as(self, descriptor: int, notice: Callable[[int], str]) -> None:
        """Have the number of pieces that are missing told in these words, a whole line."""
        self._channels[descriptor].notice = notice

    def put(self, descriptor: int, piece: bytes) -> None:
        """Have a piece written soon, and return at once."""
        with self._news:
            self._channels[descriptor].append(next(self._numbers), piece, self._most_bytes)
        os.eventfd_write(self._wake_up, 1)

    def wait_for_room(self, descriptor: int) -> None:
        """Wait until little is waiting: for a thread whose source can wait, too, so that nothing is lost of it."""
        channel = self._channels[descriptor]
        with self._news:
            self._news.wait_for(lambda: channel.waiting_bytes <= self._most_bytes // 2)

    def flush(self, timeout_s: float = FLUSH_TIMEOUT_S) -> bool:
        """Wait until all is written, and tell whether it is; a reader that was waited for in vain is not again."""
        with self._news:
            done = self._news.wait_for(self._is_empty, 0 if self._is_given_up else timeout_s)
            self._is_given_up = not done
            return done

    def _is_empty(self) -> bool:
        return not any(channel.is_pending for channel in self._channels.values())

    def _run(self) -> None:
        while True:
            ready = self._wait()
            if ready:
                self._write(min(ready, key=lambda channel: channel.next_number))

    def _wait(self) -> list[_Channel]:
        """Wait until something can be written, and return the channels that can; with nothing to say, for ever."""
        with self._news:
            pending = [channel for channel in self._channels.values() if channel.is_pending]
        poll = select.poll()
        poll.register(self._wake_up, select.POLLIN)
        for channel in pending:
            poll.register(channel.descriptor, select.POLLOUT)
        if self._wake_up in dict(poll.poll()):
            os.eventfd_read(self._wake_up)
        # Asked again: two that lead to one reader may be found full and ready, one after the other, while it reads.
        ready = dict(poll.poll(0))
        return [channel for channel in pending if channel.descriptor in ready]

    def _write(self, channel: _Channel) -> None:
        with self._news:
            channel.begin()
        try:
            written = os.write(channel.descriptor, channel.rest[:_WRITE_BYTES])
        except BlockingIOError:
            select.select([], [], [], _RETRY_S)
            return
        except OSError:
            channel.fail()
        else:
            channel.rest = channel.rest[written:]
        with self._news:
            self._is_given_up = False
            self._news.notify_all()


def _notice(dropped: int) -> str:
    return f"virt-launcher: {dropped} lines dropped: nobody read them\n"


class OutletStream(io.TextIOBase):
    """A text stream that stands in for standard output or standard error, so that nothing written to it waits."""

    def __init__(self, outlet: Outlet, descriptor: int, encoding: str) -> None:
        self._outlet = outlet
        self._descriptor = descriptor
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has it writable
        """The encoding of the stream in whose place this one is."""
        return self._encoding

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        if text:
            self._outlet.put(self._descriptor, text.encode(self._encoding, "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Wait for the reader, but not for ever."""
        self._outlet.flush()


def take_over_streams() -> Outlet:
    """Put an outlet in the place of standard output and standard error, and return it.

    Everything goes through it from now on, tracebacks too.
    """
    outlet = Outlet((STDOUT, STDERR))
    sys.stdout = OutletStream(outlet, STDOUT, _encoding_of(sys.stdout))
    sys.stderr = OutletStream(outlet, STDERR, _encoding_of(sys.stderr))
    return outlet


def _encoding_of(stream: TextIO | None) -> str:
    return "utf-8" if stream is None else stream.encoding
