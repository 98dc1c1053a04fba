"""The guest's PCI tree for the host's devices: an expander bus for each root complex, a root port for each device.

A guest with cells sees its devices as they hang: each root complex of the host that holds one of them is a PCIe
expander bus on the cell of its NUMA node, so that two devices of one node and two roots are on two. A guest without
cells has plain root ports, which libvirt adds by itself.

An expander bus takes the bus numbers from its own on, one for each of its root ports. They are dealt out from 256 down,
so that what libvirt numbers upwards never meets them (formatdomain, "pcie-expander-bus"; the first, with one device, is
254, as KubeVirt's). The controllers' indices count on from 1, for libvirt fills each gap with a root port.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from launcher.errors import DoesNotFit
from launcher.host.assigned import AssignedDevice, Bus
from launcher.planner.model import Cell

_BUSES = 256
# Slots of an expander bus that take a root port (libvirt, virDomainPCIControllerModelToConnectType: 0 to 31).
_PORTS_OF_A_BUS = 32


class RootPort(Struct, frozen=True, kw_only=True):
    """The root port of one device: its controller's index, and its slot on the expander bus."""

    index: int
    slot: int
    device: int


class ExpanderBus(Struct, frozen=True, kw_only=True):
    """One root complex of the host in the guest: its controller's index, bus number and cell."""

    index: int
    bus_number: int
    cell: int
    root: str
    ports: tuple[RootPort, ...]


def expander_buses(devices: Sequence[AssignedDevice], cells: Sequence[Cell]) -> tuple[ExpanderBus, ...]:
    """Return the expander buses of a guest with these cells, by cell, then root complex: the same at every start.

    A device whose node is no cell's, or that hangs on no node, has none and is on a plain root port; one whose place in
    the guest is given (pciAddress) is there.
    Raises DoesNotFit where there are more devices than bus numbers.
    """
    buses: list[ExpanderBus] = []
    index, free = 1, _BUSES
    for (cell, root), members in sorted(_by_root(devices, cells).items()):
        for group in _chunks(members):
            free -= len(group) + 1
            ports = tuple(
                RootPort(index=index + 1 + slot, slot=slot, device=device) for slot, device in enumerate(group)
            )
            buses.append(ExpanderBus(index=index, bus_number=free, cell=cell, root=root, ports=ports))
            index += len(group) + 1
    if index >= free:
        raise DoesNotFit(f"the guest's {len(devices)} devices need more than the {_BUSES} PCI buses that there are")
    return tuple(buses)


def _by_root(devices: Sequence[AssignedDevice], cells: Sequence[Cell]) -> Mapping[tuple[int, str], list[int]]:
    cell_of = {cell.node: cell.cell for cell in cells}
    groups: dict[tuple[int, str], list[int]] = {}
    for place, device in enumerate(devices):
        is_placed = device.bus is Bus.USB or device.request.guest_address is not None
        if not is_placed and device.node in cell_of and device.root:
            groups.setdefault((cell_of[device.node], device.root), []).append(place)
    return groups


def _chunks(members: Sequence[int]) -> Iterator[Sequence[int]]:
    return (members[start : start + _PORTS_OF_A_BUS] for start in range(0, len(members), _PORTS_OF_A_BUS))
