"""What is done last of all, when this process opens nothing any more and other threads of it may still want to.

libvirt's threads go on until the process ends: 0.2 s after QEMU has died one of them writes a record of it, and removes
that a little later. A process that ends in between would leave it.
"""

from __future__ import annotations

import resource
from collections.abc import Callable

_wanted: list[Callable[[], None]] | None = None


def expect_the_end() -> None:
    """Have what is wanted at last wait for `do_last`: this process ends with what it does now."""
    global _wanted  # noqa: PLW0603 - one process, one end
    _wanted = []


def at_last(deed: Callable[[], None]) -> None:
    """Do this at the process's end, or at once where nobody expects one; it opens nothing and raises nothing."""
    if _wanted is None:
        deed()
    else:
        _wanted.append(deed)


def do_last() -> None:
    """Keep every thread of this process from opening anything more, and do what is wanted, in the order of asking."""
    if not _wanted:
        return
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    for deed in _wanted:
        deed()
