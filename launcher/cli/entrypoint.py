"""The entrypoint: one guest from its manifest to its end."""

from __future__ import annotations

import logging
import queue
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.cli.connection import open_hypervisor
from launcher.cli.desk import Desk
from launcher.cli.places import root_of
from launcher.cli.termination import write_termination_message
from launcher.cli.workshop import Workshop
from launcher.errors import ExitStatus, LauncherError
from launcher.hypervisor.protocol import Hypervisor
from launcher.observe.logs import LogFormat, configure_logging, dropped_notice
from launcher.observe.outlet import STDERR, take_over_streams
from launcher.signals import StopSignals, ignore_signals
from launcher.supervise.children import ChildReaper
from launcher.supervise.lifecycle import Events, Outcome, StopRequested
from launcher.supervise.stopwatch import Stopwatch

if TYPE_CHECKING:
    from argparse import Namespace

_log = logging.getLogger(__name__)


def run_guest(options: Namespace, workshop: Workshop, stopwatch: Stopwatch, signals: StopSignals) -> ExitStatus:
    """Start the guest that the workshop is reading, or adopt it; supervise it, and return how it ended.

    `signals` keeps those that came before this function was there to take them.
    """
    outlet = take_over_streams()
    configure_logging(LogFormat(options.log_format), verbose=options.verbose)
    outlet.tell_dropped_as(STDERR, dropped_notice(LogFormat(options.log_format)))
    events: Events = queue.SimpleQueue()
    stop = _forward_signals(events, signals)
    reaper = ChildReaper()
    desk = Desk(options=options, workshop=workshop, stopwatch=stopwatch, outlet=outlet, is_stopping=stop.is_wished)
    try:
        with _connected(desk, events) as hypervisor:
            stopwatch.lap("connect")
            from launcher.cli.life import live  # noqa: PLC0415 - loaded while libvirt was being opened

            outcome, qemu_said = live(hypervisor, desk, events, reaper)
    finally:
        # Python takes its handlers away before the process ends.
        ignore_signals()
    return _report(outcome, qemu_said)


def _load_the_rest() -> None:
    """Load what is needed once libvirt is open, then what is once QEMU is there: those open and start without Python.

    What cannot be loaded is told by whoever imports it next.
    """
    for name in ("launcher.cli.life", "launcher.cli.assign", "launcher.supervise.supervisor"):
        with suppress(ImportError):
            import_module(name)


@contextmanager
def _connected(desk: Desk, events: Events) -> Iterator[Hypervisor]:
    """Open the connection while the manifest is being read; where both are at fault, the manifest's faults are told."""
    options = desk.options
    with ExitStack() as stack:
        try:
            hypervisor = stack.enter_context(
                open_hypervisor(
                    root_of(options),
                    uri=options.connect,
                    on_event=events.put,
                    is_stopping=desk.is_stopping,
                    meanwhile=_load_the_rest,
                    shared_cache=None if options.cache is None else Path(options.cache),
                )
            )
        except LauncherError:
            desk.workshop.finish(is_stopping=desk.is_stopping)
            raise
        # Whatever it is in the middle of making is not made once the root is cleared up.
        stack.callback(desk.workshop.close)
        yield hypervisor


def _report(outcome: Outcome, qemu_said: str) -> ExitStatus:
    level = logging.INFO if outcome.status is ExitStatus.POWERED_OFF else logging.ERROR
    fields = {"exit_status": int(outcome.status)}
    _log.log(level, "ended: %s (exit status %d)", outcome.reason, outcome.status, extra={"fields": fields})
    last_words = qemu_said if outcome.status is ExitStatus.CRASHED else ""
    write_termination_message(outcome.status, f"{outcome.reason}\n{last_words}".rstrip())
    return outcome.status


class StopWish:
    """Whether somebody wants the end; no lock, for a signal may come in the middle of another one's handler."""

    def __init__(self) -> None:
        self._is_wished = False

    def is_wished(self) -> bool:
        """Tell whether a signal has come."""
        return self._is_wished

    def make(self) -> None:
        """Wish for the end, for good."""
        self._is_wished = True


def _forward_signals(events: Events, signals: StopSignals) -> StopWish:
    """Turn the signals that ask for the end into events, those that came already too: without a guest they wait.

    What comes from the hypervisor lies in the same queue by then, so that the wish is kept beside it, too.
    """
    stop = StopWish()

    def forward(number: int) -> None:
        stop.make()
        events.put(StopRequested(by=signal.Signals(number).name))

    signals.hand_to(forward)
    return stop
