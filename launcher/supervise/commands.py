"""The commands of the control socket: what another process may ask of a running launcher."""

from __future__ import annotations

from enum import StrEnum

from launcher.supervise.lifecycle import Phase


class Command(StrEnum):
    """One word of the control socket; `status` only reads, the others change the guest's life."""

    STATUS = "status"
    PAUSE = "pause"
    RESUME = "resume"
    SHUTDOWN = "shutdown"
    RESET = "reset"


# The phases in which each command makes sense; a shutdown asked for while one is going on destroys, as a second signal.
_SENSIBLE = {
    Command.STATUS: tuple(Phase),
    Command.PAUSE: (Phase.RUNNING, Phase.PAUSED),
    Command.RESUME: (Phase.RUNNING, Phase.PAUSED),
    Command.SHUTDOWN: (Phase.UNPROVED, Phase.PROVED, Phase.RUNNING, Phase.PAUSED, Phase.SHUTTING_DOWN),
    Command.RESET: (Phase.RUNNING, Phase.PAUSED),
}


def refusal(command: Command, phase: Phase) -> str:
    """Return why the command makes no sense in this phase; empty where it does."""
    return "" if phase in _SENSIBLE[command] else f"cannot {command} a guest that is {phase}"
