"""The domain's watchdog and its panic devices: how a guest that hangs or crashes is noticed."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add


def fill_watchdog(devices: Element, blueprint: Blueprint) -> None:
    """Write Intel's watchdog with its action, and the panic devices that the template has not."""
    peripherals = blueprint.guest.peripherals
    if peripherals.watchdog is not None:
        add(devices, "watchdog", model="i6300esb", action=peripherals.watchdog)
    for model in peripherals.panics:
        if devices.find(f"panic[@model='{model}']") is None:
            add(devices, "panic", model=model)
