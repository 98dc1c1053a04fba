"""The domain's slots for USB devices of somebody else's machine, each behind a unix socket that speaks usbredir."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.inputs import have_usb
from launcher.domain.xml import Element, add

# KubeVirt's UsbClientPassthroughMaxNumberOf.
_SLOTS = 4


def fill_redirection(devices: Element, blueprint: Blueprint) -> None:
    """Write redirdev where the manifest has clientPassthrough; who may open the socket may plug a device in."""
    if not blueprint.guest.peripherals.has_usb_redirection:
        return
    have_usb(devices)
    for slot in range(_SLOTS):
        redirected = add(devices, "redirdev", bus="usb", type="unix")
        add(redirected, "source", mode="bind", path=blueprint.console.beside(f"usbredir{slot}.sock"))
