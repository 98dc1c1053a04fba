"""What a run shows while it goes on: the plan, the proof, the guest's console and QEMU's own words."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.cli.begin import Found
from launcher.cli.output import terminal
from launcher.cli.places import console_paths, root_of
from launcher.cli.ward import Ward
from launcher.observe.bridge import ConsoleBridge
from launcher.observe.console import ConsoleFollower
from launcher.observe.lines import Lines
from launcher.observe.logs import LogFormat, resolved
from launcher.observe.outlet import STDERR, Outlet
from launcher.observe.qemulog import QEMULog
from launcher.observe.ring import RingLog
from launcher.observe.sieve import Sieve
from launcher.observe.text import console_line, counted
from launcher.planner.model import Pinning
from launcher.supervise.drift import planned_cpus, required_threads
from launcher.supervise.lifecycle import Adopted
from launcher.supervise.roles import ObservedThread

if TYPE_CHECKING:
    from argparse import Namespace

_log = logging.getLogger(__name__)


def show_plan(options: Namespace, pinning: Pinning) -> None:
    """Log that the placement is made, its warnings, and show it to people as a table."""
    pinned = counted(len(pinning.vcpus), "vCPU") if pinning.vcpus else "all vCPUs together"
    if pinning.vcpus and pinning.shared:
        pinned += f" alone and {len(pinning.shared)} that share"
    _log.info("planned: %s on CPU %s", pinned, pinning.cpuset)
    for warning in pinning.warnings:
        _log.warning("planned: %s", warning)
    if _for_people(options):
        from launcher.observe.tables import placement_table  # noqa: PLC0415 - for people alone

        width, colour = terminal()
        print(placement_table(pinning, width=width, colour=colour))


def show_proof(options: Namespace, pinning: Pinning, observed: tuple[ObservedThread, ...], vcpus: int) -> None:
    """Show every thread with its planned and its actual CPUs to people."""
    if not _for_people(options):
        return
    from launcher.observe.tables import ThreadRow, threads_table  # noqa: PLC0415 - for people alone

    required = required_threads(pinning, vcpus)
    rows = tuple(
        ThreadRow(
            tid=thread.tid,
            name=thread.name,
            role=str(thread.role),
            planned=planned_cpus(thread.role, pinning, required),
            actual=thread.cpus,
        )
        for thread in observed
    )
    width, colour = terminal()
    print(threads_table(rows, width=width, colour=colour))


def _for_people(options: Namespace) -> bool:
    return resolved(LogFormat(options.log_format)) is LogFormat.TEXT


@contextmanager
def console_shown(options: Namespace, ward: Ward, found: Found) -> Iterator[None]:
    """Let people attach to the guest's console; where the manifest wants it logged, copy it to standard output, too.

    Line by line, and into a log of the newest. Of an adopted guest only what comes from now on: the rest was shown by
    the launcher before this one. Nobody is waited for: what standard output does not take is counted and lost.
    """
    if not ward.is_console_attached:
        yield
        return
    paths = console_paths(root_of(options), ward.domain)
    lines = Lines(lambda line: print(f"console | {console_line(line)}"))
    log = RingLog(paths.log, is_new=not isinstance(found.first_event, Adopted)) if ward.is_console_logged else None

    def take(said: bytes) -> None:
        if log is not None:
            log.write(said)
            lines.take(said)

    bridge = ConsoleBridge(port=paths.socket, door=paths.door, on_data=None if log is None else take)
    try:
        bridge.start()
    except OSError as error:
        _log.warning("console: nobody can attach to it: %s: %s", paths.door, error.strerror)
    try:
        yield
    finally:
        bridge.stop()
        lines.end()
        if log is not None:
            log.close()


@contextmanager
def qemu_log_shown(options: Namespace, ward: Ward, outlet: Outlet) -> Iterator[QEMULog]:
    """Pass on what QEMU says from now on, marked, as log lines; libvirt keeps it in a file of the domain's name."""
    path = root_of(options) / "log" / "qemu" / f"{ward.domain}.log"

    # A guest's driver can have QEMU complain as often as it likes.
    sieve = Sieve()

    def show(line: str) -> None:
        if sieve.admits(time.monotonic()):
            _tell_withheld(sieve)
            outlet.wait_for_room(STDERR)
            _log.info("qemu: %s", console_line(line))

    qemu_log = QEMULog(show)
    others = (str(root_of(options) / "log" / "libvirt.log"),)
    with _followed(path, ConsoleFollower(str(path), qemu_log.take, from_end=path.exists(), others=others)):
        yield qemu_log
    _tell_withheld(sieve)


def _tell_withheld(sieve: Sieve) -> None:
    withheld = sieve.take_withheld()
    if withheld:
        _log.warning("qemu: %s more, not shown", counted(withheld, "line"))


@contextmanager
def _followed(path: Path, follower: ConsoleFollower) -> Iterator[None]:
    _log.debug("following: %s", path)
    follower.start()
    try:
        yield
    finally:
        follower.stop()
