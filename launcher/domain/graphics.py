"""The domain's graphics card, and the VNC server that shows it on a unix socket."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add


def fill_graphics(devices: Element, blueprint: Blueprint) -> None:
    """Write video and graphics; VNC has no password here: who may open the socket may look."""
    video = blueprint.guest.peripherals.video
    if video is None:
        return
    graphics = add(devices, "graphics", type="vnc")
    add(graphics, "listen", type="socket", socket=blueprint.console.beside("vnc.sock"))
    add(add(devices, "video"), "model", type=video.model, vram=video.memory_kib, heads=1)
