"""The domain's network cards."""

from __future__ import annotations

from typing import assert_never

from launcher.domain.blueprint import Blueprint
from launcher.domain.names import alias_of
from launcher.domain.xml import Element, add, add_pci_address
from launcher.vmi.guest_machine import Interface, InterfaceBackend, Protocol


def fill_interfaces(devices: Element, blueprint: Blueprint) -> None:
    """Write one interface for each network card, in the manifest's order."""
    for interface in blueprint.guest.peripherals.interfaces:
        _add_interface(devices, interface, is_x86=blueprint.arch == "x86_64")


def _add_interface(devices: Element, interface: Interface, *, is_x86: bool) -> None:
    element = add(devices, "interface")
    if interface.mac is not None:
        add(element, "mac", address=interface.mac)
    _add_backend(element, interface)
    for subnet in interface.subnets:
        address, _, prefix = subnet.partition("/")
        add(element, "ip", family="ipv6" if ":" in address else "ipv4", address=address, prefix=prefix)
    add(element, "model", type=interface.model)
    if interface.queues > 1:
        add(element, "driver", queues=interface.queues)
    if interface.boot_order is None and is_x86:
        # Firmware that may not start from this card has no use for its boot ROM.
        add(element, "rom", enabled="no")
    if not interface.is_up:
        add(element, "link", state="down")
    if interface.boot_order is not None:
        add(element, "boot", order=interface.boot_order)
    add(element, "alias", name=alias_of(interface.name))
    if interface.acpi_index is not None:
        add(element, "acpi", index=interface.acpi_index)
    add_pci_address(element, interface.guest_address)


def _add_backend(element: Element, interface: Interface) -> None:
    match interface.backend:
        case InterfaceBackend.POD | InterfaceBackend.SLIRP:
            element.set("type", "user")
        case InterfaceBackend.PASST:
            element.set("type", "user")
            add(element, "backend", type="passt")
            if interface.device is not None:
                add(element, "source", dev=interface.device)
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
    """Forward the ports that are named, and all where none is, as KubeVirt does, or the card has its own device."""
    for protocol in Protocol:
        if interface.device is not None or not interface.ports:
            add(element, "portForward", proto=protocol, dev=interface.device)
            continue
        ports = [port.port for port in interface.ports if port.protocol is protocol]
        if ports:
            forward = add(element, "portForward", proto=protocol)
            for port in ports:
                add(forward, "range", start=port)
