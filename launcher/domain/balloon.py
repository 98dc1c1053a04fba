"""The domain's balloon: KubeVirt's, unless the manifest declines it or the template has another."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add

# KubeVirt's memBalloonStatsPeriod.
_STATISTICS_S = 10


def fill_balloon(devices: Element, blueprint: Blueprint) -> None:
    """Write KubeVirt's virtio balloon, or none; a template's stays where the manifest leaves it open."""
    balloon, found = blueprint.guest.peripherals.balloon, devices.findall("memballoon")
    if found and balloon is not None and not balloon.is_asked_for:
        return
    for element in found:
        devices.remove(element)
    if balloon is None:
        # libvirt adds one by itself where nothing is said.
        add(devices, "memballoon", model="none")
        return
    reports = "on" if balloon.reports_free_pages else "off"
    element = add(devices, "memballoon", model="virtio", freePageReporting=reports)
    add(element, "stats", period=_STATISTICS_S)
