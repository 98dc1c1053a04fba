"""The few operations on XML elements that every concern of the domain shares."""

from __future__ import annotations

from lxml import etree

Element = etree._Element  # noqa: SLF001 - lxml has no public name for the type of its elements


def add(parent: Element, tag: str, text: str | int | None = None, /, **attributes: str | int | None) -> Element:
    """Append a child element; attributes that are None are left out, the rest keep the order given."""
    child = etree.SubElement(parent, tag)
    if text is not None:
        child.text = str(text)
    for name, value in attributes.items():
        if value is not None:
            child.set(name, str(value))
    return child


def add_pci_address(parent: Element, address: str | None) -> None:
    """Say where on its PCI bus the guest sees this device, such as 0000:07:00.0; None leaves it to libvirt."""
    if address is None:
        return
    domain, bus, rest = address.split(":")
    slot, _, function = rest.partition(".")
    numbers = {"domain": domain, "bus": bus, "slot": slot, "function": function}
    add(parent, "address", type="pci", **{name: f"0x{number}" for name, number in numbers.items()})


def child_of(parent: Element, tag: str) -> Element:
    """Return the first child with this tag; append an empty one where there is none."""
    found = parent.find(tag)
    return etree.SubElement(parent, tag) if found is None else found


def parser() -> etree.XMLParser:
    """Build a parser that resolves no entity, loads no DTD and reads nothing from the network."""
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_blank_text=True)
