"""vhost's threads: which guests have some, and the annotation that asks for CPUs of their own for them.

The kernel's vhost serves a virtio card whose traffic comes through a tap, and a vsock. From Linux 6.4 on its workers
are threads of QEMU's; before, they are kernel threads beside it, which a container can neither see nor pin.
"""

from __future__ import annotations

import re

from launcher.vmi.guest import Guest
from launcher.vmi.guest_machine import USER_NETWORKING, InterfaceModel

VHOST_ANNOTATION = "virt-launcher/vhost-cpus"
VHOST_FIELD = f"metadata.annotations['{VHOST_ANNOTATION}']"
# The first Linux whose vhost makes its workers threads of the process that asked for the device (6e890c5d5021).
FIRST_WITH_THREADS = (6, 4)
_RELEASE = re.compile(r"(\d{1,4})\.(\d{1,4})", re.ASCII)


def uses_vhost(guest: Guest) -> bool:
    """Tell whether anything of the guest is served by vhost, where the node has its devices."""
    cards = guest.peripherals.interfaces
    return guest.peripherals.has_vsock or any(
        card.model is InterfaceModel.VIRTIO and card.backend not in USER_NETWORKING for card in cards
    )


def out_of_reach(guest: Guest, release: str) -> str | None:
    """Say that the CPUs asked for are without effect on this Linux (`uname -r`); None where they are not."""
    match = _RELEASE.match(release)
    if not guest.cpu.vhost_cpus or match is None or (int(match[1]), int(match[2])) >= FIRST_WITH_THREADS:
        return None
    return (
        f"{VHOST_FIELD}: Linux {match[1]}.{match[2]} has vhost's workers as kernel threads, out of a container's "
        f"reach; from {'.'.join(map(str, FIRST_WITH_THREADS))} on they are QEMU's, and go to the CPUs reserved for them"
    )
