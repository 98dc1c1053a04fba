"""The verb `run`: has the manifest read in a process of its own, and meanwhile gets the rest of the launcher ready."""

from __future__ import annotations

from argparse import Namespace
from contextlib import closing

from launcher.cli.choice import choice_of
from launcher.cli.limits import check_limits
from launcher.cli.workshop import Workshop
from launcher.errors import ExitStatus
from launcher.signals import keep_signals
from launcher.supervise.stopwatch import Stopwatch
from launcher.supervise.thrift import use_one_arena


def run(options: Namespace) -> ExitStatus:
    """Start the guest or adopt it, supervise it, and return the exit status that says how it ended."""
    stopwatch = Stopwatch()
    stopwatch.lap("process")
    check_limits()
    use_one_arena()
    signals = keep_signals()
    with closing(Workshop()) as workshop:
        workshop.begin("load_guest", options.vmi, choice_of(options))
        from launcher.cli.entrypoint import run_guest  # noqa: PLC0415 - while the manifest is being read

        return run_guest(options, workshop, stopwatch, signals)
