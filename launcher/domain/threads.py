"""Whether a guest sees which of its vCPUs are threads of one core."""

from __future__ import annotations

from launcher.domain.parts import VirtType
from launcher.vmi.guest import Guest

# Models of AMD's, and QEMU's own, which are AMD's by vendor: they tell of threads by topoext, which TCG has not.
_TOLD_BY_TOPOEXT = ("EPYC", "Opteron", "Dhyana", "athlon", "phenom", "qemu", "kvm", "max", "host-")


def shows_threads(guest: Guest, virt_type: VirtType) -> bool:
    """Tell whether the guest can see its threads: not where x86 is emulated, but for named models of Intel's."""
    if virt_type is VirtType.KVM or guest.arch != "x86_64":
        return True
    return guest.cpu.model is not None and not guest.cpu.model.startswith(_TOLD_BY_TOPOEXT)
