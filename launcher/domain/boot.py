"""What the domain starts from: machine type, firmware, and a kernel that QEMU loads itself."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.firmware import fill_firmware
from launcher.domain.xml import Element, add

# The machine types that KubeVirt's manifests name for each architecture; the emulated board of the guest.
_DEFAULT_MACHINES = {"x86_64": "q35", "aarch64": "virt"}


def fill_boot(domain: Element, blueprint: Blueprint) -> None:
    """Write os: the machine type, the firmware, and the kernel."""
    guest = blueprint.guest
    os_element = add(domain, "os")
    machine = guest.machine or _DEFAULT_MACHINES.get(blueprint.arch)
    add(os_element, "type", "hvm", arch=blueprint.arch, machine=machine)
    fill_firmware(os_element, blueprint)
    if guest.kernel_boot is not None:
        add(os_element, "kernel", guest.kernel_boot.kernel)
        if guest.kernel_boot.initrd is not None:
            add(os_element, "initrd", guest.kernel_boot.initrd)
        if guest.kernel_boot.arguments:
            add(os_element, "cmdline", guest.kernel_boot.arguments)
