"""The domain's tablets and keyboard, and the USB controller that some of them need."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add
from launcher.vmi.guest_machine import InputBus


def fill_inputs(devices: Element, blueprint: Blueprint) -> None:
    """Write tablets and keyboard; a template's "no USB" gives way to a controller where something is on USB."""
    peripherals = blueprint.guest.peripherals
    if peripherals.has_keyboard or any(tablet.bus is InputBus.USB for tablet in peripherals.tablets):
        have_usb(devices)
    for tablet in peripherals.tablets:
        add(devices, "input", type="tablet", bus=tablet.bus)
    if peripherals.has_keyboard:
        add(devices, "input", type="keyboard", bus="usb")


def have_usb(devices: Element) -> None:
    """Have a USB controller for a device that is on USB, in place of a template's "no USB"."""
    for found in devices.findall("controller[@type='usb'][@model='none']"):
        devices.remove(found)
    if devices.find("controller[@type='usb']") is None:
        add(devices, "controller", type="usb", index=0, model="qemu-xhci")
