"""The guest's PCI tree on machines of public topologies: cells, roots, ports and bus numbers, written by hand."""

from __future__ import annotations

import pytest

from launcher.cpuset import CPUSet
from launcher.domain.pci import expander_buses
from launcher.errors import DoesNotFit
from launcher.host.assigned import AssignedDevice, Bus, device_nodes
from launcher.host.devices import assign_devices
from launcher.planner.model import Cell
from launcher.vmi.guest_devices import DeviceKind, DeviceRequest
from tests.host.pci_machines import NIC, NVME, Device, row, tree_of

# (cell, root complex, bus number, the places of its devices) of each expander bus
Tree = list[tuple[int, str, int, tuple[int, ...]]]


def _root(number: str) -> str:
    return f"pci0000:{number}"


def _cells(*nodes: int) -> tuple[Cell, ...]:
    return tuple(
        Cell(cell=cell, node=node, vcpus=CPUSet.of((cell,)), memory_bytes=1 << 30) for cell, node in enumerate(nodes)
    )


# Eight GPUs and eight NICs: a switch for two of each below each of four root complexes of a socket.
_DGX = tuple(
    device
    for socket, roots in enumerate((("00", "20", "40", "60"), ("80", "a0", "c0", "e0")))
    for root in roots
    for device in (
        *row(_root(root), socket, f"0000:{int(root, 16) + 7:02x}:00.0", f"0000:{int(root, 16) + 8:02x}:00.0"),
    )
)
_NFV = (
    *row(_root("17"), 0, "0000:18:00.0", "0000:18:00.1", device_class=NIC),
    *row(_root("85"), 1, "0000:86:00.0", "0000:86:00.1", device_class=NIC),
)
_NPS4 = tuple(
    device
    for node, root in enumerate(("60", "40", "20", "00", "e0", "c0", "a0", "80"))
    for device in row(_root(root), node, f"0000:{int(root, 16) + 1:02x}:00.0")
)
_DESKTOP = (*row(_root("00"), -1, "0000:01:00.0", "0000:02:00.0"),)
_THREADRIPPER = (
    *row(_root("00"), 0, "0000:01:00.0"),
    *row(_root("20"), 1, "0000:21:00.0"),
    *row(_root("40"), 2, "0000:41:00.0", "0000:42:00.0"),
    *row(_root("60"), 3, "0000:61:00.0"),
)
_TWO_ROOTS = (*row(_root("40"), 1, "0000:41:00.0"), *row(_root("60"), 1, "0000:61:00.0"))
_VIRTUAL_FUNCTIONS = row(_root("17"), 0, *(f"0000:18:02.{function}" for function in range(8)), device_class=NIC)
_DISKS = row(_root("b0"), 1, *(f"0000:{0xB1 + place:02x}:00.0" for place in range(24)), device_class=NVME)
_SIXTEEN = tuple(
    device
    for node in (0, 1)
    for root in range(4)
    for device in row(
        _root(f"{node * 128 + root * 32:02x}"),
        node,
        f"0000:{node * 128 + root * 32 + 1:02x}:00.0",
        f"0000:{node * 128 + root * 32 + 2:02x}:00.0",
        window_bytes=1 << 37,
    )
)

# (sentence, machine, nodes of the guest's cells, the addresses given, the expected tree)
ROWS: list[tuple[str, tuple[Device, ...], tuple[int, ...], tuple[str, ...], Tree]] = [
    ("a desktop's one root without nodes", _DESKTOP, (0,), ("0000:01:00.0",), []),
    ("a guest without cells", _NFV, (), ("0000:18:00.0", "0000:86:00.0"), []),
    ("one NIC of the first socket", _NFV, (0,), ("0000:18:00.0",), [(0, _root("17"), 254, (0,))]),
    ("one NIC of the other socket alone", _NFV, (1,), ("0000:86:00.0",), [(0, _root("85"), 254, (0,))]),
    ("a NIC whose node is no cell's", _NFV, (1,), ("0000:18:00.0",), []),
    (
        "a NIC on each socket",
        _NFV,
        (0, 1),
        ("0000:86:00.0", "0000:18:00.0"),
        [(0, _root("17"), 254, (1,)), (1, _root("85"), 252, (0,))],
    ),
    (
        "two ports of one card in the order that they were given",
        _NFV,
        (0,),
        ("0000:18:00.1", "0000:18:00.0"),
        [(0, _root("17"), 253, (0, 1))],
    ),
    (
        "two roots of one node stay two",
        _TWO_ROOTS,
        (0, 1),
        ("0000:41:00.0", "0000:61:00.0"),
        [(1, _root("40"), 254, (0,)), (1, _root("60"), 252, (1,))],
    ),
    (
        "two roots of one node in the guest's first cell",
        _TWO_ROOTS,
        (1,),
        ("0000:61:00.0", "0000:41:00.0"),
        [(0, _root("40"), 254, (1,)), (0, _root("60"), 252, (0,))],
    ),
    (
        "a DGX whole: eight GPUs' roots, four a socket",
        _DGX,
        (0, 1),
        tuple(device.address for device in _DGX[::2]),
        [
            (socket, _root(root), 254 - 2 * place, (place,))
            for place, (socket, root) in enumerate(
                (socket, root)
                for socket, roots in enumerate((("00", "20", "40", "60"), ("80", "a0", "c0", "e0")))
                for root in roots
            )
        ],
    ),
    (
        "a GPU and the NIC of its switch",
        _DGX,
        (0, 1),
        ("0000:27:00.0", "0000:28:00.0"),
        [(0, _root("20"), 253, (0, 1))],
    ),
    (
        "half a DGX",
        _DGX,
        (1,),
        tuple(device.address for device in _DGX[8:]),
        [
            (0, _root(root), 253 - 3 * place, (2 * place, 2 * place + 1))
            for place, root in enumerate(("80", "a0", "c0", "e0"))
        ],
    ),
    (
        "four nodes a socket, a device on each of three",
        _NPS4,
        (1, 3, 5),
        ("0000:41:00.0", "0000:01:00.0", "0000:c1:00.0"),
        [(0, _root("40"), 254, (0,)), (1, _root("00"), 252, (1,)), (2, _root("c0"), 250, (2,))],
    ),
    (
        "four nodes a socket, all eight",
        _NPS4,
        tuple(range(8)),
        tuple(device.address for device in _NPS4),
        [
            (node, _root(root), 254 - 2 * node, (node,))
            for node, root in enumerate(("60", "40", "20", "00", "e0", "c0", "a0", "80"))
        ],
    ),
    (
        "a Threadripper, two nodes of which have no memory and are no cells",
        _THREADRIPPER,
        (0, 2),
        ("0000:01:00.0", "0000:21:00.0", "0000:42:00.0"),
        [(0, _root("00"), 254, (0,)), (1, _root("40"), 252, (2,))],
    ),
    (
        "eight virtual functions of one port",
        _VIRTUAL_FUNCTIONS,
        (0, 1),
        tuple(device.address for device in _VIRTUAL_FUNCTIONS),
        [(0, _root("17"), 247, tuple(range(8)))],
    ),
    (
        "24 disks of one root",
        _DISKS,
        (0, 1),
        tuple(device.address for device in _DISKS),
        [(1, _root("b0"), 231, tuple(range(24)))],
    ),
    (
        "sixteen GPUs on eight roots",
        _SIXTEEN,
        (0, 1),
        tuple(device.address for device in _SIXTEEN),
        [
            (node, _root(f"{node * 128 + root * 32:02x}"), 253 - 3 * (node * 4 + root), (place, place + 1))
            for node in (0, 1)
            for root in range(4)
            for place in (node * 8 + root * 2,)
        ],
    ),
    (
        "sixteen GPUs asked for from last to first hang no other way",
        _SIXTEEN,
        (0, 1),
        tuple(device.address for device in reversed(_SIXTEEN)),
        [
            (node, _root(f"{node * 128 + root * 32:02x}"), 253 - 3 * (node * 4 + root), (14 - place, 15 - place))
            for node in (0, 1)
            for root in range(4)
            for place in (node * 8 + root * 2,)
        ],
    ),
    (
        "cells in another order than the nodes",
        _NFV,
        (1, 0),
        ("0000:18:00.0", "0000:86:00.0"),
        [(0, _root("85"), 254, (1,)), (1, _root("17"), 252, (0,))],
    ),
]


def _given(machine: tuple[Device, ...], addresses: tuple[str, ...]) -> tuple[AssignedDevice, ...]:
    requests = tuple(
        DeviceRequest(kind=DeviceKind.HOST_DEVICE, index=index, name=f"h{index}", resource="a.b/c")
        for index, _ in enumerate(addresses)
    )
    return assign_devices(requests, {"PCI_RESOURCE_A_B_C": ",".join(addresses)}, tree_of(machine))


@pytest.mark.parametrize(
    ("machine", "nodes", "addresses", "tree"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_the_guest_sees_its_devices_as_they_hang(
    machine: tuple[Device, ...], nodes: tuple[int, ...], addresses: tuple[str, ...], tree: Tree
) -> None:
    buses = expander_buses(_given(machine, addresses), _cells(*nodes))
    found = [(bus.cell, bus.root, bus.bus_number, tuple(port.device for port in bus.ports)) for bus in buses]
    assert found == tree
    indices = [index for bus in buses for index in (bus.index, *(port.index for port in bus.ports))]
    assert indices == list(range(1, len(indices) + 1))


def test_the_nodes_of_the_devices_are_those_of_sysfs() -> None:
    assert device_nodes(_given(_NPS4, ("0000:c1:00.0", "0000:41:00.0"))) == (1, 5)
    assert device_nodes(_given(_DESKTOP, ("0000:01:00.0",))) == ()


def test_more_devices_than_bus_numbers_are_refused() -> None:
    addresses = tuple(f"0000:{1 + place // 8:02x}:00.{place % 8}" for place in range(130))
    many = tuple(Device(address=address, root=_root("00"), node=0) for address in addresses)
    with pytest.raises(DoesNotFit, match="the guest's 130 devices need more than the 256 PCI buses"):
        expander_buses(_given(many, addresses), _cells(0))


def test_a_usb_device_hangs_on_no_bus() -> None:
    request = DeviceRequest(kind=DeviceKind.HOST_DEVICE, index=0, name="stick", resource="a.b/c")
    stick = AssignedDevice(request=request, bus=Bus.USB, address="1:3", source="USB_RESOURCE_A_B_C")
    assert expander_buses((stick,), _cells(0)) == ()
