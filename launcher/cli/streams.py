"""The three standard streams: there from the first moment on, whoever started this process."""

from __future__ import annotations

import os

STREAMS = (0, 1, 2)


def open_missing_streams() -> None:
    """Put the null device where a standard stream was closed before this process began.

    The next file to be opened, a pipe or a socket, would otherwise take its number, and what is printed would go there.
    """
    for descriptor in STREAMS:
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest number that is free (open(2)): this one.
            os.open(os.devnull, os.O_RDWR)
