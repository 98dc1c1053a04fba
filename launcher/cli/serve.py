"""What a run serves while it goes on: probes, metrics and status over HTTP, and the control socket."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

from launcher.cli.places import control_of, root_of
from launcher.cli.ward import Ward
from launcher.errors import HypervisorError
from launcher.observe.control import serve_control
from launcher.supervise.commands import Command, refusal
from launcher.supervise.lifecycle import Event, Events, PauseRequested, ResetRequested, ResumeRequested, StopRequested
from launcher.supervise.snapshot import Snapshot

if TYPE_CHECKING:
    from argparse import Namespace

    from launcher.observe.http import GuestChecks
    from launcher.supervise.supervisor import Supervisor

_log = logging.getLogger(__name__)


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

    def ask_agent(self, command: str, timeout_s: int) -> str:
        """Ask the guest's agent; raises HypervisorError, also before there is a guest."""
        if self.supervisor is None:
            raise HypervisorError("the guest is not started yet")
        return self.supervisor.machine.ask_agent(command, timeout_s)


@contextmanager
def served(options: Namespace, ward: Ward, board: Board, events: Events) -> Iterator[None]:
    """Serve the control socket, and HTTP where --listen names an address, until the end of the context."""
    with ExitStack() as servers:
        servers.enter_context(serve_control(control_of(options), board.latest, _poster(board, events)))
        servers.enter_context(_figures_fed(options, ward, board))
        if options.listen is not None:
            from launcher.observe.http import serve_http  # noqa: PLC0415 - only where asked for: it costs memory

            checks = _checks(ward, board)
            address = servers.enter_context(
                serve_http(options.listen, board.latest, kvm_counters=board.kvm_counters, checks=checks)
            )
            _log.info("listening: %s", address)
        yield


def _figures_fed(options: Namespace, ward: Ward, board: Board) -> AbstractContextManager[None]:
    """Return the context in which a guest that asks for downwardMetrics is given the host's figures."""
    if not ward.wants_figures:
        return nullcontext()
    from launcher.cli.figures import documents_of  # noqa: PLC0415 - only for a guest that asks for them
    from launcher.domain.names import METRICS_SOCKET  # noqa: PLC0415 - likewise
    from launcher.observe.figures_feed import fed  # noqa: PLC0415 - likewise
    from launcher.storage.layout import metrics_path, storage_folder  # noqa: PLC0415 - likewise
    from launcher.vmi.guest_storage import HostMetrics  # noqa: PLC0415 - likewise

    guest, root = ward.guest.unpack(), str(root_of(options))
    disks = (disk.name for disk in guest.disks if isinstance(disk.volume, HostMetrics))
    paths = tuple(metrics_path(storage_folder(root, guest), disk) for disk in disks)
    port = f"{root}/run/{METRICS_SOCKET}" if guest.has_metrics_port else None
    return fed(documents_of(guest, board.kvm_counters), disks=paths, port=port)


def _checks(ward: Ward, board: Board) -> GuestChecks:
    """Return the guest's own probes, as far as the manifest has them."""
    from launcher.observe.http import GuestChecks  # noqa: PLC0415 - as above

    if not ward.has_probes:
        return GuestChecks()
    from launcher.observe.guest_probe import GuestCheck  # noqa: PLC0415 - only where there is one

    guest = ward.guest.unpack()
    liveness, readiness = (
        None if probe is None else GuestCheck(probe, board.ask_agent).fault
        for probe in (guest.liveness, guest.readiness)
    )
    return GuestChecks(liveness=liveness, readiness=readiness)


def _poster(board: Board, events: Events) -> Callable[[Command], str]:
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
