"""The places of a launcher: its root and the sockets below it; what even the smallest verb has to know."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.domain.parts import ConsolePaths

if TYPE_CHECKING:
    from argparse import Namespace

# Below the root: where commands are taken.
CONTROL_SOCKET = "run/control.sock"
# Below the root's run: the socket of the serial console, and QEMU's own, at which the launcher is attached.
CONSOLE = "serial0.sock"
QEMUS_CONSOLE = "serial0-qemu.sock"


def root_of(options: Namespace) -> Path:
    """Return the root folder: as asked for; /var/lib for root, the user's state folder otherwise.

    Without symbolic links: QEMU's command line tells whose it is by this path, whatever name the next launcher uses.
    """
    return Path(os.path.realpath(_named_root(options)))


def _named_root(options: Namespace) -> str:
    if options.root is not None:
        return str(options.root)
    if os.geteuid() == 0:
        return "/var/lib/virt-launcher"
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111 - no home: as it is
    return os.path.join(state, "virt-launcher")  # noqa: PTH118 - text until it is whole


def control_of(options: Namespace) -> Path:
    """Return the control socket: as asked for, else the one below the root."""
    return root_of(options) / CONTROL_SOCKET if options.control is None else Path(options.control)


def console_paths(root: Path, domain: str) -> ConsolePaths:
    """Return where the serial console of this guest is: a short name, for a socket's path may have 107 bytes."""
    return ConsolePaths(
        socket=str(root / "run" / QEMUS_CONSOLE),
        door=str(root / "run" / CONSOLE),
        log=str(root / "log" / f"{domain}-serial0.log"),
    )
