"""Logs that a guest can make grow, bounded: the newest is kept, the oldest goes."""

from __future__ import annotations

import os
from contextlib import suppress

# Of each log so much is kept, and as much again of what was before.
MOST_BYTES = 1 << 20
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class RingLog:
    """A log of ours in two files: what is full takes the place of the one before, as the path with `.1`.

    What cannot be written is lost, and no reason to stop: a full disk must not hold up a guest.
    """

    def __init__(self, path: str, *, most_bytes: int = MOST_BYTES, is_new: bool = True) -> None:
        """Begin a log, or go on with it where it is not new."""
        self._path = path
        self._most_bytes = most_bytes
        self._file: int | None = None
        self._size = 0
        if is_new:
            remove_log(path)
        self._open()

    def write(self, data: bytes) -> None:
        """Append; a piece that is larger than the whole log leaves its end."""
        with suppress(OSError):
            for piece in _pieces(data[-2 * self._most_bytes :], self._most_bytes):
                if self._size + len(piece) > self._most_bytes:
                    self._turn()
                if self._file is not None:
                    self._size += os.write(self._file, piece)

    def close(self) -> None:
        """Close the file, and leave it where it is."""
        if self._file is not None:
            os.close(self._file)
        self._file = None

    def _turn(self) -> None:
        self.close()
        os.replace(self._path, f"{self._path}.1")  # noqa: PTH105 - paths stay text
        self._open()

    def _open(self) -> None:
        with suppress(OSError):
            self._file = os.open(self._path, _FLAGS, 0o600)
            self._size = os.fstat(self._file).st_size


def _pieces(data: bytes, most_bytes: int) -> list[bytes]:
    return [data[i : i + most_bytes] for i in range(0, len(data), most_bytes)]


def remove_log(path: str) -> None:
    """Remove both files of a log."""
    for name in (path, f"{path}.1"):
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108 - paths stay text


def shorten(path: str, *, most_bytes: int = MOST_BYTES) -> bool:
    """Empty a log that another program appends to (O_APPEND) where it has grown too long; tell whether it was.

    Its end is kept as the path with `.1`.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        size = os.fstat(descriptor).st_size
        if size <= most_bytes:
            return False
        kept = RingLog(f"{path}.1", most_bytes=most_bytes)
        kept.write(os.pread(descriptor, most_bytes, size - most_bytes))
        kept.close()
        os.ftruncate(descriptor, 0)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
