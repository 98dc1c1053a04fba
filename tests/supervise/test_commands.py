"""Commands: refused with a reason where they make no sense."""

from __future__ import annotations

import pytest

from launcher.supervise.commands import Command, refusal
from launcher.supervise.lifecycle import Phase


@pytest.mark.parametrize(
    ("command", "accepted"),
    [
        (Command.STATUS, set(Phase)),
        (Command.PAUSE, {Phase.RUNNING, Phase.PAUSED}),
        (Command.RESUME, {Phase.RUNNING, Phase.PAUSED}),
        (Command.RESET, {Phase.RUNNING, Phase.PAUSED}),
        (Command.SHUTDOWN, {Phase.UNPROVED, Phase.PROVED, Phase.RUNNING, Phase.PAUSED, Phase.SHUTTING_DOWN}),
    ],
)
def test_a_command_is_accepted_where_it_makes_sense_and_nowhere_else(command: Command, accepted: set[Phase]) -> None:
    assert {phase for phase in Phase if not refusal(command, phase)} == accepted


def test_a_refusal_names_command_and_phase() -> None:
    assert refusal(Command.PAUSE, Phase.SHUTTING_DOWN) == "cannot pause a guest that is shutting down"
