"""The verb `shutdown`: the command of that name for a running launcher."""

from __future__ import annotations

from argparse import Namespace

from launcher.cli.client import ask
from launcher.cli.places import control_of
from launcher.errors import ExitStatus
from launcher.supervise.commands import Command


def run(options: Namespace) -> ExitStatus:
    """Hand the command over; it is accepted when this returns, and its effect shows in the status."""
    ask(control_of(options), Command.SHUTDOWN)
    return ExitStatus.POWERED_OFF
