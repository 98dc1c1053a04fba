"""The launcher's own memory from its first moment on: one heap for all of its threads."""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8  # malloc.h (glibc)


def use_one_arena() -> None:
    """Have all threads share one heap; call before they start.

    glibc gives each of the first threads a heap of its own: megabytes here, and nothing is the faster for it
    (mallopt(3)).
    Elsewhere than with glibc this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
