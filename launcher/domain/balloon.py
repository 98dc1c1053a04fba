"""The domain's balloon: the template's, unless the manifest asks for one."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add


def fill_balloon(devices: Element, blueprint: Blueprint) -> None:
    """Write a virtio balloon in the place of the template's."""
    balloon = blueprint.guest.peripherals.balloon
    if balloon is None:
        return
    for found in devices.findall("memballoon"):
        devices.remove(found)
    add(devices, "memballoon", model="virtio", freePageReporting="on" if balloon.reports_free_pages else "off")
