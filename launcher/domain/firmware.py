"""The domain's firmware: SeaBIOS, or UEFI that libvirt chooses by its features among what the machine has installed.

libvirt reads the descriptors in /usr/share/qemu/firmware (QEMU, docs/interop/firmware.json), which Debian's ovmf and
qemu-efi-aarch64 bring along, and keeps the guest's variables below the launcher's root, in lib/qemu/nvram.
"""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add
from launcher.vmi.guest import Firmware


def fill_firmware(os_element: Element, blueprint: Blueprint) -> None:
    """Write the kind of firmware, with or without secure boot, and where the BIOS speaks."""
    guest = blueprint.guest
    if guest.firmware is Firmware.EFI:
        os_element.set("firmware", "efi")
        _add_features(os_element, is_secure=guest.board.secure_boot)
    if guest.board.prints_on_serial:
        add(os_element, "bios", useserial="yes")


def _add_features(os_element: Element, *, is_secure: bool) -> None:
    """Ask for secure boot with the vendors' keys, without which nothing would be refused, or for none."""
    firmware = add(os_element, "firmware")
    add(firmware, "feature", enabled="yes" if is_secure else "no", name="secure-boot")
    if is_secure:
        add(firmware, "feature", enabled="yes", name="enrolled-keys")
