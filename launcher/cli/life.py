"""The life of one guest: from the connection that is open to the end of its QEMU, and of what was made for it."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING

from launcher.cli.begin import Beginning, adopt, destroyed_on_error, start
from launcher.cli.desk import Desk
from launcher.cli.places import CONTROL_SOCKET, console_paths, root_of
from launcher.cli.serve import Board, served
from launcher.cli.show import console_shown, qemu_log_shown, show_plan, show_proof
from launcher.cli.ward import Ward
from launcher.hypervisor.protocol import Hypervisor
from launcher.hypervisor.root import remove_images
from launcher.observe.ring import remove_log
from launcher.supervise.children import ChildReaper
from launcher.supervise.lifecycle import Events, Outcome, Started, Timing

if TYPE_CHECKING:
    from argparse import Namespace

_log = logging.getLogger(__name__)

# KubeVirt's default for terminationGracePeriodSeconds of a VMI.
DEFAULT_GRACE_PERIOD_S = 30.0


def live(hypervisor: Hypervisor, desk: Desk, events: Events, reaper: ChildReaper) -> tuple[Outcome, str]:
    """Go from the connection to the guest's end; return how it ended, and what QEMU said last."""
    beginning = _begin(desk)
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
    # These are loaded while QEMU starts (launcher.cli.entrypoint).
    from launcher.cli.assign import assignment_of  # noqa: PLC0415
    from launcher.supervise.supervisor import Supervisor  # noqa: PLC0415

    # An adopted guest is left alone.
    watched = destroyed_on_error(found.machine) if isinstance(found.first_event, Started) else nullcontext()
    with watched, console_shown(options, ward, found):
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


def _begin(desk: Desk) -> Beginning:
    ward = desk.workshop.finish(is_stopping=desk.is_stopping)
    desk.stopwatch.lap("manifest")
    return Beginning(ward=ward, desk=desk, on_planned=lambda pinning: show_plan(desk.options, pinning))


def _grace_period_s(options: Namespace, ward: Ward) -> float:
    if options.grace_period is not None:
        return float(options.grace_period)
    return DEFAULT_GRACE_PERIOD_S if ward.grace_period_s is None else float(ward.grace_period_s)
