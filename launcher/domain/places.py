"""Where a running domain's devices are for its guest: the addresses that libvirt has chosen, from the live XML."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from launcher.domain.read import domain_of
from launcher.domain.xml import Element


class Place(Struct, frozen=True, kw_only=True):
    """A device by its alias: the bus of the guest that it is on, and its address there.

    `host_address` is that of a device of the host on the host: a PCI address, or a mediated device's UUID; else "".
    """

    alias: str
    bus: str
    address: str
    mac: str = ""
    host_address: str = ""


def read_places(xml: str) -> tuple[Place, ...]:
    """Return the cards and the host's devices that have an alias and an address, in the domain's order.

    Raises ValueError where the domain cannot be read.
    """
    devices = domain_of(xml).find("devices")
    found = () if devices is None else (*devices.iterfind("interface"), *devices.iterfind("hostdev"))
    return tuple(place for element in found for place in _place(element))


def _place(element: Element) -> Iterator[Place]:
    alias, address, mac = element.find("alias"), element.find("address"), element.find("mac")
    if alias is not None and address is not None:
        source = element.find("source/address")
        yield Place(
            alias=alias.get("name", ""),
            bus=address.get("type", ""),
            address=_written(address),
            mac="" if mac is None else mac.get("address", ""),
            host_address="" if source is None else source.get("uuid") or _written(source),
        )


def _written(address: Element) -> str:
    """Return a PCI address as it is written, 0000:41:00.0; another bus's as its numbers, such as 0:0:1 of USB."""
    if address.get("slot") is None:
        return ":".join(address.get(str(key), "") for key in sorted(address.attrib) if key != "type")
    domain, bus, slot, function = (
        address.get(key, "0x0").removeprefix("0x") for key in ("domain", "bus", "slot", "function")
    )
    return f"{domain:0>4}:{bus:0>2}:{slot:0>2}.{function}"
