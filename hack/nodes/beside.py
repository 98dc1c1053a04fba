"""What runs beside a node on this machine, and the network that the two share: one of their own, which ends here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hack.nodes.commands import last_lines
from hack.nodes.errors import NodeError

# In the new namespace, until nobody holds the other end of standard input: loopback, and one more address that leads
# there. Who speaks to it is 127.0.0.1, which QEMU's user networking translates: from its own address a node takes
# nothing.
_HOLD = 'ip link set lo up && ip route add local "$1" dev lo table local src 127.0.0.1 && echo held && exec cat'


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a node's QEMU is started with: the words before its own, its further arguments, and what went wrong beside.

    `fault` returns what has ended that should not have, in words, and nothing as long as all is well.
    """

    within: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    fault: Callable[[], str] = str


ALONE = Beside()
# Begins what a run has beside it; the folder is for its logs.
BeginBeside = Callable[[Path], AbstractContextManager[Beside]]


@contextmanager
def own_network(address: str) -> Iterator[tuple[str, ...]]:
    """Make a network namespace in which this address is loopback's, too; yield the words that run a program in it.

    It needs no privilege where this machine lets its users make namespaces, and goes with the last program in it.
    """
    is_root = os.geteuid() == 0
    unshare = ("unshare", "--net", *(() if is_root else ("--map-root-user",)), "sh", "-c", _HOLD, "sh", address)
    with subprocess.Popen(unshare, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as holder:
        if next(iter(holder.stdout or ()), b"") != b"held\n":
            raise NodeError(f"no network namespace can be made here: {last_lines(b''.join(holder.stderr or ()))}")
        user = () if is_root else ("--user", "--preserve-credentials")
        try:
            yield "nsenter", f"--target={holder.pid}", "--net", *user, "--"
        finally:
            holder.kill()
