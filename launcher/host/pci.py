"""The PCI devices of a host as sysfs tells them: where each hangs, on which NUMA node, and who drives it.

| what | where it is read |
|---|---|
| the root complex (`pci0000:40`) and the path below it | the folders of `sys/devices`, which nest as the buses do |
| the NUMA node | `numa_node` of the device; -1 is `NO_NODE` |
| the driver | the entries of `sys/bus/pci/drivers/NAME` |
| the IOMMU group, and who else is in it | the entries of `sys/kernel/iommu_groups/N/devices` |
| the windows that the device wants | `resource`: first and last address and flags of each (sysfs-pci.rst) |

No link is followed: a capture has none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from msgspec import Struct

from launcher.host.model import NO_NODE
from launcher.host.tree import Tree, read_integer

PCI_ADDRESS = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]", re.ASCII)
_DEVICES = "sys/devices"
_ROOT = re.compile(r"pci[0-9a-f]{4}:[0-9a-f]{2}", re.ASCII)
_DRIVERS = "sys/bus/pci/drivers"
_GROUPS = "sys/kernel/iommu_groups"
# IORESOURCE_MEM, IORESOURCE_PREFETCH and IORESOURCE_MEM_64 (include/linux/ioport.h).
_MEMORY, _PREFETCH, _WIDE = 0x200, 0x2000, 0x100000
# PCI bridges and host bridges: an IOMMU group's bridges need no driver of their own (vfio_dev_whitelisted).
_BRIDGES = 0x06


class PCIDevice(Struct, frozen=True, kw_only=True):
    """A device and where it hangs: `path` are the addresses from its root port down to itself.

    `wide_bytes` are the sizes of its 64-bit prefetchable windows, which lie above 4 GiB.
    """

    address: str
    root: str
    path: tuple[str, ...]
    folder: str
    node: int = NO_NODE
    device_class: int = 0
    wide_bytes: tuple[int, ...] = ()

    @property
    def is_bridge(self) -> bool:
        """Tell whether it is a bridge, which carries other devices and is never handed to a guest."""
        return self.device_class >> 16 == _BRIDGES


def has_pci(tree: Tree) -> bool:
    """Tell whether anything is known of the host's PCI devices: older captures and synthetic hosts have none."""
    return any(_ROOT.fullmatch(name) for name in tree.list(_DEVICES))


def pci_devices(tree: Tree) -> Iterator[PCIDevice]:
    """Yield every PCI device, root complex by root complex, each before those behind it."""
    for root in tree.list(_DEVICES):
        if _ROOT.fullmatch(root):
            yield from _below(tree, root, f"{_DEVICES}/{root}", ())


def nodes_of(tree: Tree, addresses: Collection[str]) -> tuple[int, ...]:
    """Return the NUMA nodes of PCI devices and mediated ones, ascending; what hangs on no node counts for none."""
    held = (device for device in pci_devices(tree) if {device.address, *tree.list(device.folder)} & set(addresses))
    nodes = {device.node for device in held}
    return tuple(sorted(nodes - {NO_NODE}))


def _below(tree: Tree, root: str, folder: str, path: tuple[str, ...]) -> Iterator[PCIDevice]:
    for name in tree.list(folder):
        if PCI_ADDRESS.fullmatch(name):
            device = _read_device(tree, root, f"{folder}/{name}", (*path, name))
            yield device
            yield from _below(tree, root, device.folder, device.path)


def _read_device(tree: Tree, root: str, folder: str, path: tuple[str, ...]) -> PCIDevice:
    node = read_integer(tree, f"{folder}/numa_node")
    return PCIDevice(
        address=path[-1],
        root=root,
        path=path,
        folder=folder,
        node=NO_NODE if node is None else node,
        device_class=_hexadecimal(tree.read(f"{folder}/class")),
        wide_bytes=tuple(_wide_windows(tree.read(f"{folder}/resource") or "")),
    )


def _hexadecimal(text: str | None) -> int:
    try:
        return int((text or "0").strip(), 16)
    except ValueError:
        return 0


def _wide_windows(text: str) -> Iterator[int]:
    """Yield the sizes in bytes of the 64-bit prefetchable windows; a line that is no window is passed over."""
    for line in text.splitlines():
        try:
            first, last, flags = (int(word, 16) for word in line.split())
        except ValueError:
            continue
        if flags & _MEMORY and flags & _PREFETCH and flags & _WIDE and last > first:
            yield last - first + 1


def read_pci(tree: Tree) -> None:
    """Read of every device all that this module knows to ask, so that a capture holds it."""
    for device in pci_devices(tree):
        for mediated in tree.list(f"{device.folder}/mdev_supported_types"):
            for uuid in tree.list(f"{device.folder}/mdev_supported_types/{mediated}/devices"):
                tree.read(f"{device.folder}/{uuid}/uevent")
    for driver in tree.list(_DRIVERS):
        for address in filter(PCI_ADDRESS.fullmatch, tree.list(f"{_DRIVERS}/{driver}")):
            tree.read(f"{_DRIVERS}/{driver}/{address}/class")
    for group in tree.list(_GROUPS):
        for address in filter(PCI_ADDRESS.fullmatch, tree.list(f"{_GROUPS}/{group}/devices")):
            tree.read(f"{_GROUPS}/{group}/devices/{address}/class")


def mediated_parent(tree: Tree, uuid: str) -> PCIDevice | None:
    """Return the PCI device that a mediated device is part of, None where there is no such mediated device."""
    return next((device for device in pci_devices(tree) if uuid in tree.list(device.folder)), None)


def device_behind(tree: Tree, address: str) -> PCIDevice | None:
    """Return the PCI device of this address, or that behind the mediated device of this UUID; None where none is."""
    if PCI_ADDRESS.fullmatch(address):
        return next((device for device in pci_devices(tree) if device.address == address), None)
    return mediated_parent(tree, address)


def driver_of(tree: Tree, address: str) -> str | None:
    """Return the name of the driver that a device is bound to, None where it is bound to none."""
    return next((name for name in tree.list(_DRIVERS) if address in tree.list(f"{_DRIVERS}/{name}")), None)


def iommu_group(tree: Tree, address: str) -> tuple[int, tuple[str, ...]] | None:
    """Return a device's IOMMU group and all the devices in it, itself among them; None where it is in none."""
    for name in tree.list(_GROUPS):
        members = tree.list(f"{_GROUPS}/{name}/devices")
        if address in members and name.isdecimal():
            return int(name), members
    return None
