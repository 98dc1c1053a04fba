"""What is done last of all, when this process opens nothing any more and other threads of it may still want to.

libvirt's threads go on until the process ends: 0.2 s after QEMU has died one of them writes a record of it, and removes
that a little later. A process that ends in between would leave it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

# More files than any thread of libvirt's waits for at once.
_POLLED = 64

_wanted: list[Callable[[], None]] | None = None


def expect_the_end() -> None:
    """Have what is wanted at last wait for `do_last`: this process ends with what it does now."""
    global _wanted  # noqa: PLW0603 - one process, one end
    _wanted = []


def at_last(deed: Callable[[], None]) -> bool:
    """Do this at the process's end, without opening anything or raising; False where nobody expects its end."""
    if _wanted is None:
        return False
    _wanted.append(deed)
    return True


def do_last() -> None:
    """Keep every thread of this process from opening anything more, and do what is wanted, in the order of asking."""
    if not _wanted:
        return
    import resource  # noqa: PLC0415 - for a verb that has worked over a root alone

    # Every number below the limit is taken. A limit of 0 would do, but poll(2) refuses more files than that, and GLib,
    # which libvirt's threads wait by, complains of it.
    with suppress(OSError):
        taken = os.open(os.devnull, os.O_RDONLY)
        while taken < _POLLED:
            taken = os.dup(taken)
        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken, hard))
    for deed in _wanted:
        deed()
