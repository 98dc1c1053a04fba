"""The domain's network cards."""

from __future__ import annotations

from typing import assert_never

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add
from launcher.vmi.guest_machine import Interface, InterfaceBackend, Protocol


def fill_interfaces(devices: Element, blueprint: Blueprint) -> None:
    """Write one interface for each network card, in the manifest's order."""
    for interface in blueprint.guest.peripherals.interfaces:
        _add_interface(devices, interface)


def _add_interface(devices: Element, interface: Interface) -> None:
    element = add(devices, "interface")
    if interface.mac is not None:
        add(element, "mac", address=interface.mac)
    _add_backend(element, interface)
    add(element, "model", type=interface.model)
    if interface.queues > 1:
        add(element, "driver", queues=interface.queues)
    if not interface.is_up:
        add(element, "link", state="down")
    if interface.boot_order is not None:
        add(element, "boot", order=interface.boot_order)
    if interface.acpi_index is not None:
        add(element, "acpi", index=interface.acpi_index)


def _add_backend(element: Element, interface: Interface) -> None:
    match interface.backend:
        case InterfaceBackend.SLIRP:
            element.set("type", "user")
        case InterfaceBackend.PASST:
            element.set("type", "user")
            add(element, "backend", type="passt")
            _add_ports(element, interface)
        case InterfaceBackend.BRIDGE:
            element.set("type", "bridge")
            add(element, "source", bridge=interface.device)
        case InterfaceBackend.TAP:
            element.set("type", "ethernet")
            add(element, "target", dev=interface.device, managed="no")
        case _:
            assert_never(interface.backend)


def _add_ports(element: Element, interface: Interface) -> None:
    """Forward the ports that are named, and no other: without a port nothing outside reaches the guest."""
    for protocol in Protocol:
        ports = [port.port for port in interface.ports if port.protocol is protocol]
        if ports:
            forward = add(element, "portForward", proto=protocol)
            for port in ports:
                add(forward, "range", start=port)
