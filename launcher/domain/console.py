"""The domain's serial console: a unix socket of QEMU's, to which the launcher connects."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add


def fill_console(devices: Element, blueprint: Blueprint) -> None:
    """Write the first serial port and the console on it; QEMU listens, so nobody needs to be attached.

    There is no log of QEMU's own: nothing would bound it, and the guest could fill the node's disk.
    """
    if not blueprint.guest.serial.attached:
        return
    serial = add(devices, "serial", type="unix")
    add(serial, "source", mode="bind", path=blueprint.console.socket)
    add(serial, "target", port=0)
    console = add(devices, "console", type="unix")
    add(console, "source", mode="bind", path=blueprint.console.socket)
    add(console, "target", type="serial", port=0)
