"""The workshop's job of telling a guest, on its config drive, where its tagged devices are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from launcher.cli.here import this_machine
from launcher.domain.names import alias_of, hostdev_alias
from launcher.domain.places import Place, read_places
from launcher.domain.read import read_plan
from launcher.errors import HypervisorError
from launcher.host.model import NO_NODE
from launcher.host.pci import PCI_ADDRESS, device_behind
from launcher.host.tree import Tree
from launcher.planner.model import Pinning
from launcher.storage.layout import storage_folder
from launcher.storage.tags import DeviceType, TaggedDevice
from launcher.storage.tags import tell_tags as write_tags
from launcher.vmi.guest import Guest
from launcher.vmi.guest_devices import DeviceKind


def tell_tags(guest: Guest, root: Path, xml: str) -> None:
    """Write the tagged devices of a domain that stands still, by its live XML, on its config drives.

    Raises HypervisorError where the XML cannot be read, a tagged device is not in it, or a disc cannot be written.
    """
    try:
        places = {place.alias: place for place in read_places(xml)}
        pinning = read_plan(xml)
    except ValueError as error:
        raise HypervisorError(f"the domain's XML: {error}") from error
    write_tags(storage_folder(str(root), guest), guest, list(_tagged(guest, places, pinning, this_machine())))


def _tagged(guest: Guest, places: dict[str, Place], pinning: Pinning | None, tree: Tree) -> Iterator[TaggedDevice]:
    for card in guest.peripherals.interfaces:
        if card.tag:
            place = _place(places, alias_of(card.name))
            yield TaggedDevice(type=DeviceType.CARD, bus=place.bus, address=place.address, tag=card.tag, mac=place.mac)
    for request in guest.host_devices:
        if request.tag:
            place = _place(places, hostdev_alias(request))
            node = _node_of(place.host_address, tree)
            yield TaggedDevice(
                type=DeviceType.CARD if request.kind is DeviceKind.VIRTUAL_FUNCTION else DeviceType.HOST_DEVICE,
                bus=place.bus,
                address=place.address,
                tag=request.tag,
                node=node if guest.cpu.numa_passthrough else None,
                vcpus=() if guest.cpu.numa_passthrough else _vcpus_on(node, pinning),
            )


def _place(places: dict[str, Place], alias: str) -> Place:
    if alias not in places:
        raise HypervisorError(f"the domain has no address of the tagged device {alias}; nothing tells its guest of it")
    return places[alias]


def _node_of(address: str, tree: Tree) -> int | None:
    """Return the NUMA node of a device of the host, None where it hangs on none or is no PCI device."""
    found = device_behind(tree, address) if PCI_ADDRESS.fullmatch(address) or "-" in address else None
    return None if found is None or found.node == NO_NODE else found.node


def _vcpus_on(node: int | None, pinning: Pinning | None) -> tuple[int, ...]:
    """Return the pinned vCPUs on this node, in the order of their CPUs, as KubeVirt has them."""
    if node is None or pinning is None:
        return ()
    near = sorted((pin.cpu, pin.vcpu) for pin in pinning.vcpus if pin.node == node)
    return tuple(vcpu for _, vcpu in near)
