"""The launcher's own memory: what the start needed and the long watch does not is given back to the kernel."""

from __future__ import annotations

import ctypes
import gc

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


def give_back() -> None:
    """Collect what is garbage, and return free memory to the kernel (malloc_trim(3)); call once the guest runs."""
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
