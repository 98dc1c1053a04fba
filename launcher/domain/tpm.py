"""The domain's TPM, emulated by swtpm, which libvirt starts and ends with the guest."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add


def fill_tpm(devices: Element, blueprint: Blueprint) -> None:
    """Write a TPM 2.0; libvirt keeps its state below the launcher's root, beyond the guest's end where asked for.

    A persistent one has the CRB interface, as KubeVirt's has, for which QEMU's board virt has no place.
    """
    tpm = blueprint.guest.peripherals.tpm
    if tpm is None:
        return
    has_crb = tpm.persistent and blueprint.arch == "x86_64"
    element = add(devices, "tpm", model="tpm-crb" if has_crb else "tpm-tis")
    add(element, "backend", type="emulator", version="2.0", persistent_state="yes" if tpm.persistent else "no")
