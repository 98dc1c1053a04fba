"""The verb `run`: the entrypoint of the container, from the manifest to the guest's end."""

from __future__ import annotations

import logging
import queue
import signal
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager

from launcher.cli.assign import assignment_of
from launcher.cli.begin import Beginning, Found, adopt, start
from launcher.cli.connection import open_hypervisor
from launcher.cli.machine import console_paths, load, root_of
from launcher.cli.plan import terminal
from launcher.cli.termination import write_termination_message
from launcher.errors import ExitStatus
from launcher.observe.console import ConsoleFollower
from launcher.observe.logs import LogFormat, configure_logging, resolved
from launcher.observe.tables import ThreadRow, placement_table, threads_table
from launcher.observe.text import console_line
from launcher.planner.model import Pinning
from launcher.supervise.children import ChildReaper
from launcher.supervise.drift import required_threads
from launcher.supervise.lifecycle import Adopted, Event, Outcome, Started, StopRequested, Timing
from launcher.supervise.roles import ObservedThread
from launcher.supervise.stopwatch import Stopwatch
from launcher.supervise.supervisor import Supervisor
from launcher.vmi.guest import Guest

_log = logging.getLogger(__name__)

# KubeVirt's default for terminationGracePeriodSeconds of a VMI.
DEFAULT_GRACE_PERIOD_S = 30.0

Events = queue.SimpleQueue[Event]


def run(options: Namespace) -> ExitStatus:
    """Start the guest or adopt it, supervise it, and return the exit status that says how it ended."""
    stopwatch = Stopwatch()
    stopwatch.lap("process")
    configure_logging(LogFormat(options.log_format), verbose=options.verbose)
    events: Events = queue.SimpleQueue()
    _forward_signals(events)
    guest = load(options)
    stopwatch.lap("manifest")
    reaper = ChildReaper()
    with open_hypervisor(root_of(options), uri=options.connect, on_event=events.put) as hypervisor:
        stopwatch.lap("connect")
        beginning = Beginning(
            guest=guest,
            options=options,
            stopwatch=stopwatch,
            is_stopping=lambda: not events.empty(),
            on_planned=lambda pinning: _show_plan(options, pinning),
        )
        found = adopt(hypervisor, beginning) or start(hypervisor, beginning)
        with _destroyed_on_error(found), _console_shown(options, guest, found):
            supervisor = Supervisor(
                assignment_of(found, beginning, hypervisor),
                events=events,
                reaper=reaper,
                timing=Timing(grace_period_s=_grace_period_s(options, guest)),
                on_proved=lambda pinning, observed: _show_proof(options, guest, pinning, observed),
            )
            outcome = supervisor.run(found.first_event)
    return _report(outcome)


def _report(outcome: Outcome) -> ExitStatus:
    level = logging.INFO if outcome.status is ExitStatus.POWERED_OFF else logging.ERROR
    _log.log(level, "ended: %s (exit status %d)", outcome.reason, outcome.status)
    write_termination_message(outcome.status, outcome.reason)
    return outcome.status


def _forward_signals(events: Events) -> None:
    """Turn SIGTERM and SIGINT into events from the first moment on: before there is a guest they wait in the queue."""

    def forward(number: int, _frame: object) -> None:
        events.put(StopRequested(by=signal.Signals(number).name))

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, forward)


def _grace_period_s(options: Namespace, guest: Guest) -> float:
    if options.grace_period is not None:
        return float(options.grace_period)
    return DEFAULT_GRACE_PERIOD_S if guest.grace_period_s is None else float(guest.grace_period_s)


def _show_plan(options: Namespace, pinning: Pinning) -> None:
    _log.info("planned: %d vCPUs on CPU %s", len(pinning.vcpus), pinning.cpuset)
    for warning in pinning.warnings:
        _log.warning("planned: %s", warning)
    if _for_people(options):
        width, colour = terminal()
        print(placement_table(pinning, width=width, colour=colour), flush=True)


def _show_proof(options: Namespace, guest: Guest, pinning: Pinning, observed: tuple[ObservedThread, ...]) -> None:
    if not _for_people(options):
        return
    required = required_threads(pinning, guest.cpu.topology.vcpus)
    rows = tuple(
        ThreadRow(
            tid=thread.tid,
            name=thread.name,
            role=str(thread.role),
            planned=required.get(thread.role, pinning.emulator),
            actual=thread.cpus,
        )
        for thread in observed
    )
    width, colour = terminal()
    print(threads_table(rows, width=width, colour=colour), flush=True)


def _for_people(options: Namespace) -> bool:
    return resolved(LogFormat(options.log_format)) is LogFormat.TEXT


@contextmanager
def _destroyed_on_error(found: Found) -> Iterator[None]:
    """Leave no guest behind that the launcher started and then failed to supervise; an adopted one is left alone."""
    try:
        yield
    except BaseException:
        if isinstance(found.first_event, Started):
            found.machine.destroy()
        raise


@contextmanager
def _console_shown(options: Namespace, guest: Guest, found: Found) -> Iterator[None]:
    """Copy the guest's console to standard output, line by line, where the manifest wants it logged.

    Of an adopted guest only what comes from now on: the rest was shown by the launcher before this one.
    """
    if not (guest.serial.attached and guest.serial.logged):
        yield
        return
    log = console_paths(root_of(options), guest).log
    follower = ConsoleFollower(log, _print_console_line, from_end=isinstance(found.first_event, Adopted))
    follower.start()
    try:
        yield
    finally:
        follower.stop()


def _print_console_line(line: str) -> None:
    print(f"console | {console_line(line)}", flush=True)
