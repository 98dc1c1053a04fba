"""The three standard streams: there from the first moment on, whoever started this process."""

from __future__ import annotations

import os
import sys

# What Python has in sys for each descriptor, or None where it was closed.
_STREAMS = ("stdin", "stdout", "stderr")


def open_missing_streams() -> None:
    """Put the null device where a standard stream was closed before this process began.

    The next file to be opened, a pipe or a socket, would otherwise take its number, and what is printed would go there.
    """
    for descriptor, name in enumerate(_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest number that is free (open(2)): this one.
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w", closefd=False))
