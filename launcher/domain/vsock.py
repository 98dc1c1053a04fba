"""The domain's socket to the host, without a network."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add


def fill_vsock(devices: Element, blueprint: Blueprint) -> None:
    """Write a virtio vsock; libvirt finds a context id that is free on the host. It needs /dev/vhost-vsock."""
    if blueprint.guest.peripherals.has_vsock:
        add(add(devices, "vsock", model="virtio"), "cid", auto="yes")
