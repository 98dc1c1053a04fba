"""The verb `run`: has the manifest read in a process of its own, and meanwhile gets the rest of the launcher ready."""

from __future__ import annotations

import queue
import signal
from argparse import Namespace
from contextlib import closing

from launcher.cli.workshop import Workshop
from launcher.errors import ExitStatus
from launcher.supervise.stopwatch import Stopwatch
from launcher.supervise.thrift import use_one_arena


def run(options: Namespace) -> ExitStatus:
    """Start the guest or adopt it, supervise it, and return the exit status that says how it ended."""
    stopwatch = Stopwatch()
    stopwatch.lap("process")
    use_one_arena()
    signals = keep_signals()
    with closing(Workshop()) as workshop:
        workshop.begin("load_guest", options.vmi)
        from launcher.cli.entrypoint import run_guest  # noqa: PLC0415 - while the manifest is being read

        return run_guest(options, workshop, stopwatch, signals)


def keep_signals() -> queue.SimpleQueue[int]:
    """Keep SIGTERM and SIGINT from the first moment on; process 1 would never see them otherwise (signal(7))."""
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda caught, _frame: signals.put(caught))
    return signals
