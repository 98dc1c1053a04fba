"""The domain's serial console: a unix socket to attach to, and a log that QEMU writes itself."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add


def fill_console(devices: Element, blueprint: Blueprint) -> None:
    """Write the first serial port and the console on it; QEMU listens, so nobody needs to be attached."""
    if not blueprint.guest.serial.attached:
        return
    serial = add(devices, "serial", type="unix")
    add(serial, "source", mode="bind", path=blueprint.console.socket)
    add(serial, "log", file=blueprint.console.log, append="off")
    add(serial, "target", port=0)
    console = add(devices, "console", type="unix")
    add(console, "source", mode="bind", path=blueprint.console.socket)
    add(console, "log", file=blueprint.console.log, append="off")
    add(console, "target", type="serial", port=0)
