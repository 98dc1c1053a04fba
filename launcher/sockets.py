"""Unix sockets by their names, as the kernel lists those of this network namespace (unix_seq_show in af_unix.c)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# SS_CONNECTING, not accepted yet, and SS_CONNECTED (include/uapi/linux/net.h).
WAITING, SERVED = "02", "03"
# __SO_ACCEPTCON, the flag of a socket that listens (likewise).
_LISTENS = 0x10000


def states_of(path: str) -> set[str]:
    """Return the states of the sockets of this name."""
    return {state for name, _flags, state in _sockets() if name == path}


def listened_at() -> set[str]:
    """Return the names of all sockets at which somebody listens."""
    return {name for name, flags, _state in _sockets() if flags & _LISTENS}


def _sockets() -> Iterator[tuple[str, int, str]]:
    """Yield name, flags and state of each socket that has a name."""
    with Path("/proc/net/unix").open(errors="surrogateescape") as lines:
        next(lines, "")
        for row in (line.rstrip("\n").split(maxsplit=7) for line in lines):
            if len(row) == 8:
                yield row[7], int(row[3], 16), row[5]
