"""The domain's tablets, and the USB controller that some of them need."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add
from launcher.vmi.guest_machine import InputBus


def fill_inputs(devices: Element, blueprint: Blueprint) -> None:
    """Write the tablets; a template's "no USB" gives way to a controller where one of them is on USB."""
    tablets = blueprint.guest.peripherals.tablets
    if any(tablet.bus is InputBus.USB for tablet in tablets):
        _have_usb(devices)
    for tablet in tablets:
        add(devices, "input", type="tablet", bus=tablet.bus)


def _have_usb(devices: Element) -> None:
    for found in devices.findall("controller[@type='usb'][@model='none']"):
        devices.remove(found)
    if devices.find("controller[@type='usb']") is None:
        add(devices, "controller", type="usb", index=0, model="qemu-xhci")
