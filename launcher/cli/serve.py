"""What a run serves while it goes on: probes, metrics and status over HTTP, and the control socket."""

from __future__ import annotations

import logging
import queue
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from launcher.cli.machine import root_of
from launcher.observe.control import serve_control
from launcher.supervise.commands import Command, refusal
from launcher.supervise.lifecycle import Event, PauseRequested, ResetRequested, ResumeRequested, StopRequested
from launcher.supervise.snapshot import Snapshot
from launcher.supervise.supervisor import Supervisor

_log = logging.getLogger(__name__)

CONTROL_SOCKET = "run/control.sock"


class Board:
    """Where the servers' threads find the supervisor, once there is one."""

    def __init__(self) -> None:
        self.supervisor: Supervisor | None = None

    def latest(self) -> Snapshot | None:
        """Return the newest snapshot; None before there is a supervisor."""
        return None if self.supervisor is None else self.supervisor.snapshot

    def kvm_counters(self) -> Mapping[str, int]:
        """Return libvirt's statistics of the vCPUs; may hang where QEMU does."""
        return {} if self.supervisor is None else self.supervisor.machine.vcpu_statistics()


@contextmanager
def served(options: Namespace, board: Board, events: queue.SimpleQueue[Event]) -> Iterator[None]:
    """Serve the control socket, and HTTP where --listen names an address, until the end of the context."""
    control = Path(options.control) if options.control is not None else root_of(options) / CONTROL_SOCKET
    with ExitStack() as servers:
        servers.enter_context(serve_control(control, board.latest, _poster(board, events)))
        if options.listen is not None:
            from launcher.observe.http import serve_http  # noqa: PLC0415 - only where asked for: it costs memory

            address = servers.enter_context(serve_http(options.listen, board.latest, kvm_counters=board.kvm_counters))
            _log.info("listening: %s", address)
        yield


def _poster(board: Board, events: queue.SimpleQueue[Event]) -> Callable[[Command], str]:
    """Return what posts a command to the loop, or says why that command makes no sense now."""

    def post(command: Command) -> str:
        snapshot = board.latest()
        if snapshot is None:
            return f"cannot {command} a guest that is not started yet"
        reason = refusal(command, snapshot.phase)
        event = _event_of(command)
        if not reason and event is not None:
            events.put(event)
        return reason

    return post


def _event_of(command: Command) -> Event | None:
    match command:
        case Command.PAUSE:
            return PauseRequested()
        case Command.RESUME:
            return ResumeRequested()
        case Command.RESET:
            return ResetRequested()
        case Command.SHUTDOWN:
            return StopRequested(by="the control socket")
        case Command.STATUS:
            return None
