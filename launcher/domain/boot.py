"""What the domain starts from: machine type, firmware, and a kernel that QEMU loads itself."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.firmware import fill_firmware
from launcher.domain.names import machine_of
from launcher.domain.xml import Element, add


def fill_boot(domain: Element, blueprint: Blueprint) -> None:
    """Write os: the machine type, the firmware, and the kernel."""
    guest = blueprint.guest
    os_element = add(domain, "os")
    machine = machine_of(guest, blueprint.arch)
    add(os_element, "type", "hvm", arch=blueprint.arch, machine=machine)
    fill_firmware(os_element, blueprint)
    if guest.kernel_boot is not None:
        add(os_element, "kernel", guest.kernel_boot.kernel)
        if guest.kernel_boot.initrd is not None:
            add(os_element, "initrd", guest.kernel_boot.initrd)
        if guest.kernel_boot.arguments:
            add(os_element, "cmdline", guest.kernel_boot.arguments)
