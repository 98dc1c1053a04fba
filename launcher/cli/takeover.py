"""What is to be known of a machine before it is supervised: its QEMU, and what its domain says of itself."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.cli.orders import DomainRecord
from launcher.cli.places import root_of
from launcher.cli.workshop import Workshop
from launcher.errors import HypervisorError
from launcher.hypervisor.deadline import DeadlineExceeded
from launcher.hypervisor.process import QEMUProcess, find_qemu
from launcher.hypervisor.protocol import Machine, MachineGone, MachineState
from launcher.supervise.children import kill

if TYPE_CHECKING:
    from argparse import Namespace

_log = logging.getLogger(__name__)

# libvirt sees the end of a QEMU within milliseconds of the kernel, or 2 s later where process 1 is slow to reap.
END_S = 5.0
END_INTERVAL_S = 0.05


def process_of(machine: Machine, options: Namespace) -> QEMUProcess:
    """Find the QEMU of this machine; raises MachineGone where it ended meanwhile, else HypervisorError."""
    root = root_of(options) if options.connect is None else None
    try:
        return find_qemu(machine.uuid, root=root, uri=options.connect, sockets=root_of(options) / "run")
    except HypervisorError as error:
        if _ends(machine):
            raise MachineGone(f"domain {machine.name} ended before its QEMU could be watched") from error
        raise


def _ends(machine: Machine) -> bool:
    """Tell whether a machine without a QEMU is gone, once the hypervisor has seen it, too."""
    ends_s = time.monotonic() + END_S
    while machine.state() is not MachineState.ENDED:
        if time.monotonic() >= ends_s:
            return False
        time.sleep(END_INTERVAL_S)
    return True


def read_record(machine: Machine, process: QEMUProcess, workshop: Workshop, options: Namespace) -> DomainRecord:
    """Read what the domain says of itself; where a stopped QEMU keeps the answer back, what libvirt has written.

    Raises HypervisorError where neither can be read. A QEMU that cannot be asked and has no record cannot be watched,
    and is not left unwatched either: it is ended.
    """
    try:
        xml = machine.xml()
    except DeadlineExceeded as error:
        xml = _written(machine, options)
        if not xml:
            kill(process)
            raise HypervisorError(
                f"{error}; its QEMU (pid {process.pid}) was ended, for it could not be watched"
            ) from error
        _log.warning("not answered: %s; its record is read from libvirt's file", error)
    try:
        record: DomainRecord = workshop.do("read_domain", xml)
    except ValueError as error:
        raise HypervisorError(f"domain {machine.name} runs, but its recorded plan is unreadable: {error}") from error
    return record


def _written(machine: Machine, options: Namespace) -> str:
    """Return what the embedded driver has written of this life of the domain; empty where that is not there."""
    if options.connect is not None:
        return ""
    with suppress(OSError):
        xml = Path(root_of(options), "run", "qemu", f"{machine.name}.xml").read_text(encoding="utf-8")
        return xml if machine.uuid in xml else ""
    return ""
