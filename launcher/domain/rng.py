"""The domain's source of randomness."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add


def fill_rng(devices: Element, blueprint: Blueprint) -> None:
    """Write a virtio rng over the host's /dev/urandom, which never blocks."""
    if blueprint.guest.peripherals.has_rng:
        add(add(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")
