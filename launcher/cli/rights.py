"""What this container may be denied that few guests want, looked at before libvirt is asked."""

from __future__ import annotations

from pathlib import Path

from launcher.cli.here import native_arch
from launcher.domain.names import RESERVATION_SOCKET
from launcher.errors import HypervisorError
from launcher.hypervisor.rights import check_locked_memory, check_memory_policy
from launcher.vmi.guest import Guest


def wants_rights(guest: Guest) -> bool:
    """Tell whether the guest wants anything that `check_rights` looks at."""
    return guest.cpu.realtime_vcpus is not None or guest.cpu.numa_passthrough or bool(_reserved(guest))


def check_rights(guest: Guest) -> None:
    """Raise HypervisorError where this container is denied what QEMU needs of it."""
    if guest.cpu.realtime_vcpus is not None:
        check_locked_memory()
    if guest.cpu.numa_passthrough:
        check_memory_policy(native_arch())
    reserved = _reserved(guest)
    if reserved and not Path(RESERVATION_SOCKET).is_socket():
        raise HypervisorError(
            f"disk {reserved[0]}: lun.reservation: {RESERVATION_SOCKET} is not there, the socket of the node's "
            "qemu-pr-helper; KubeVirt brings it (feature gate PersistentReservation, resource "
            "devices.kubevirt.io/pr-helper), or root's qemu-pr-helper -k of that path"
        )


def _reserved(guest: Guest) -> list[str]:
    return [disk.name for disk in guest.disks if disk.is_reserved]
