"""Reads the files that a person names, whatever kind they are of: bounded in size and in time."""

from __future__ import annotations

import os
import select
import stat
import time
from pathlib import Path

# How long a named pipe may take; the writer of a process substitution starts together with this program.
PIPE_TIMEOUT_S = 10.0


def read_file(path: str, *, most_bytes: int) -> bytes:
    """Read a file to its end, without waiting for ever for somebody to write into a named pipe.

    Raises ValueError that says why it cannot be read, or is larger than `most_bytes`; who calls names the file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _unreadable(error) from error
    try:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise ValueError("is a directory")
        return drain(descriptor, most_bytes=most_bytes, timeout_s=PIPE_TIMEOUT_S)
    finally:
        os.close(descriptor)


def drain(descriptor: int, *, most_bytes: int, timeout_s: float | None) -> bytes:
    """Read to the end; with no timeout wait as long as the person at standard input takes. Raises ValueError."""
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    data = b""
    while len(data) <= most_bytes:
        try:
            chunk = _next_chunk(descriptor, most_bytes + 1 - len(data), deadline_s)
        except TimeoutError as error:
            raise ValueError(f"cannot be read: it did not end within {timeout_s} s") from error
        except OSError as error:
            raise _unreadable(error) from error
        if not chunk:
            return data
        data += chunk
    raise ValueError(f"is larger than {most_bytes // 1024} KiB")


def _next_chunk(descriptor: int, size: int, deadline_s: float | None) -> bytes:
    remaining_s = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
    if not select.select([descriptor], [], [], remaining_s)[0]:
        raise TimeoutError
    return os.read(descriptor, size)


def _unreadable(error: OSError | ValueError) -> ValueError:
    return ValueError(f"cannot be read: {reason(error)}")


def reason(error: OSError | ValueError) -> str:
    """Return in words why a file could not be used: the system's, or what Python refuses in a name before it asks.

    Python's own words for that are others in each release.
    """
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "its name cannot be a file's" if isinstance(error, UnicodeError) else "its name holds a NUL byte"


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, as far as it can be; one that is not there is no error."""
    if folder.exists():
        import shutil  # noqa: PLC0415 - 5 ms and half a MiB of compressors, for what is seldom there

        shutil.rmtree(folder, ignore_errors=True)
