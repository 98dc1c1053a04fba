"""The commands of the control socket: what another process may ask of a running launcher."""

from __future__ import annotations

from enum import StrEnum


class Command(StrEnum):
    """One word of the control socket; `status` only reads, the others change the guest's life."""

    STATUS = "status"
    PAUSE = "pause"
    RESUME = "resume"
    SHUTDOWN = "shutdown"
    RESET = "reset"
