"""The hand that puts threads right: directly through the kernel, or through libvirt where the kernel refuses us."""

from __future__ import annotations

import logging

from launcher.cpuset import CPUSet
from launcher.errors import HypervisorError
from launcher.hypervisor.protocol import Machine
from launcher.supervise.drift import Repair
from launcher.supervise.roles import Role, ThreadKind
from launcher.supervise.threads import set_affinity

_log = logging.getLogger(__name__)


def put_right(machine: Machine, repair: Repair) -> bool:
    """Give the thread its CPUs and tell whether that was done; a refusal is logged with its reason."""
    try:
        _set(machine, repair)
    except (OSError, HypervisorError) as error:
        _log.warning("not repaired: %s to CPU %s: %s", repair.role, repair.cpus, error)
        return False
    _log.info("repaired: %s to CPU %s", repair.role, repair.cpus)
    return True


def _set(machine: Machine, repair: Repair) -> None:
    """Set the affinity directly, which cannot hang; a QEMU of another user is reached through libvirt."""
    try:
        set_affinity(repair.tid, repair.cpus)
    except PermissionError:
        configure(machine, repair.role, repair.cpus)


def configure(machine: Machine, role: Role, cpus: CPUSet) -> None:
    """Have libvirt pin the thread, which also changes the pins in the domain's live XML.

    Raises HypervisorError for a worker: libvirt has no call for those.
    """
    number = role.number or 0
    match role.kind:
        case ThreadKind.VCPU:
            machine.pin_vcpu(number, cpus)
        case ThreadKind.IOTHREAD:
            machine.pin_iothread(number, cpus)
        case ThreadKind.EMULATOR:
            machine.pin_emulator(cpus)
        case ThreadKind.WORKER:
            raise HypervisorError("the thread belongs to another user, and libvirt has no call for it")
