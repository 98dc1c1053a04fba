"""The domain's TPM, emulated by swtpm, which libvirt starts and ends with the guest."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add

# QEMU's virt board has no place for the CRB interface.
_MODELS = {"aarch64": "tpm-tis"}


def fill_tpm(devices: Element, blueprint: Blueprint) -> None:
    """Write a TPM 2.0; libvirt keeps its state below the launcher's root, beyond the guest's end where asked for."""
    tpm = blueprint.guest.peripherals.tpm
    if tpm is None:
        return
    element = add(devices, "tpm", model=_MODELS.get(blueprint.arch, "tpm-crb"))
    add(element, "backend", type="emulator", version="2.0", persistent_state="yes" if tpm.persistent else "no")
