"""The domain's sound card, whose sound goes nowhere."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add


def fill_sound(devices: Element, blueprint: Blueprint) -> None:
    """Write the card, and the absence of anything that would play what it is given."""
    model = blueprint.guest.peripherals.sound
    if model is not None:
        add(devices, "sound", model=model)
        add(devices, "audio", id=1, type="none")
