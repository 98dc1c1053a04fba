"""The entrypoint: one guest from its manifest to its end."""

from __future__ import annotations

import logging
import queue
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.cli.assign import assignment_of
from launcher.cli.begin import Beginning, Desk, Found, adopt, start
from launcher.cli.connection import open_hypervisor
from launcher.cli.places import console_paths, root_of
from launcher.cli.serve import CONTROL_SOCKET, Board, served
from launcher.cli.show import console_shown, qemu_log_shown, show_plan, show_proof
from launcher.cli.termination import write_termination_message
from launcher.cli.ward import Ward
from launcher.cli.workshop import Workshop
from launcher.errors import ExitStatus, LauncherError
from launcher.hypervisor.protocol import Hypervisor
from launcher.hypervisor.root import remove_images
from launcher.observe.logs import LogFormat, configure_logging, dropped_notice
from launcher.observe.outlet import STDERR, take_over_streams
from launcher.observe.ring import remove_log
from launcher.signals import StopSignals, ignore_signals
from launcher.supervise.children import ChildReaper
from launcher.supervise.lifecycle import Event, Outcome, Started, StopRequested, Timing
from launcher.supervise.stopwatch import Stopwatch
from launcher.supervise.supervisor import Supervisor

if TYPE_CHECKING:
    from argparse import Namespace

_log = logging.getLogger(__name__)

# KubeVirt's default for terminationGracePeriodSeconds of a VMI.
DEFAULT_GRACE_PERIOD_S = 30.0

Events = queue.SimpleQueue[Event]


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
            outcome, qemu_said = _live(hypervisor, _begin(desk), events, reaper)
    finally:
        # Python takes its handlers away before the process ends.
        ignore_signals()
    return _report(outcome, qemu_said)


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
                    shared_cache=None if options.cache is None else Path(options.cache),
                )
            )
        except LauncherError:
            desk.workshop.finish(is_stopping=desk.is_stopping)
            raise
        # Whatever it is in the middle of making is not made once the root is cleared up.
        stack.callback(desk.workshop.close)
        yield hypervisor


def _begin(desk: Desk) -> Beginning:
    ward = desk.workshop.finish(is_stopping=desk.is_stopping)
    desk.stopwatch.lap("manifest")
    return Beginning(ward=ward, desk=desk, on_planned=lambda pinning: show_plan(desk.options, pinning))


def _live(hypervisor: Hypervisor, beginning: Beginning, events: Events, reaper: ChildReaper) -> tuple[Outcome, str]:
    """Go from the connection to the guest's end; return how it ended, and what QEMU said last."""
    options, ward, board = beginning.desk.options, beginning.ward, Board()
    with served(options, ward, board, events), qemu_log_shown(options, ward, beginning.desk.outlet) as qemu_log:
        outcome = _supervise(hypervisor, beginning, events, reaper, board)
    return outcome, qemu_log.last_words


def _supervise(
    hypervisor: Hypervisor, beginning: Beginning, events: Events, reaper: ChildReaper, board: Board
) -> Outcome:
    options, ward = beginning.desk.options, beginning.ward
    found = adopt(hypervisor, beginning) or start(hypervisor, beginning)
    beginning.desk.workshop.close()
    hypervisor.follow(found.machine)
    with _destroyed_on_error(found), console_shown(options, ward, found):
        assignment = assignment_of(found, beginning, hypervisor)
        _log.debug("start-up: %s", ", ".join(f"{phase.name} {phase.seconds:.4f} s" for phase in assignment.start_up))
        supervisor = Supervisor(
            assignment,
            events=events,
            reaper=reaper,
            timing=Timing(grace_period_s=_grace_period_s(options, ward)),
            on_proved=lambda pinning, observed: show_proof(options, pinning, observed, found.vcpus),
        )
        board.supervisor = supervisor
        outcome = supervisor.run(found.first_event)
    _clear_up(options, ward)
    return outcome


def _clear_up(options: Namespace, ward: Ward) -> None:
    """Remove what is the guest's for one life: layers, empty disks, discs that hold its secrets, and its sockets.

    QEMU removes its sockets unless it is killed, and libvirt then, unless it is a daemon that does not answer.
    """
    root = root_of(options)
    remove_images(root)
    remove_log(console_paths(root, ward.domain).log)
    for path in (root / "run").glob("*.sock"):
        if path != root / CONTROL_SOCKET:
            path.unlink(missing_ok=True)


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


def _grace_period_s(options: Namespace, ward: Ward) -> float:
    if options.grace_period is not None:
        return float(options.grace_period)
    return DEFAULT_GRACE_PERIOD_S if ward.grace_period_s is None else float(ward.grace_period_s)


@contextmanager
def _destroyed_on_error(found: Found) -> Iterator[None]:
    """Leave no guest behind that the launcher started and then failed to supervise; an adopted one is left alone."""
    try:
        yield
    except BaseException:
        if isinstance(found.first_event, Started):
            found.machine.destroy()
        raise
