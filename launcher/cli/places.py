"""The places of a launcher: its root and the sockets below it; what even the smallest verb has to know."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path


def root_of(options: Namespace) -> Path:
    """Return the root folder: as asked for; /var/lib for root, the user's state folder otherwise."""
    if options.root is not None:
        return Path(options.root).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/virt-launcher")
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111 - no home: as it is
    return Path(state).absolute() / "virt-launcher"


def control_of(options: Namespace) -> Path:
    """Return the control socket: as asked for, else the one below the root."""
    return root_of(options) / "run" / "control.sock" if options.control is None else Path(options.control)
