"""The PCI cards of the shape vfio-2n, and their drivers."""

from __future__ import annotations

from pathlib import Path

from launcher.host.pci import driver_of
from launcher.host.tree import FolderTree

# A source of random bytes each, and a SCSI controller beside it in its IOMMU group.
ON_NODE_0, ON_NODE_1, ON_ANOTHER_ROOT = "0000:21:00.0", "0000:41:00.0", "0000:61:00.0"
CARDS = (ON_NODE_0, ON_NODE_1, ON_ANOTHER_ROOT)
# A network card on node 0, at whose other end somebody gives out addresses.
NETWORK_CARD = "0000:81:00.0"
PCI = Path("/sys/bus/pci")
MACHINE = FolderTree(Path("/"))


def bind_all() -> None:
    """Bind every function of every card to vfio-pci, as a device plugin's node is set up."""
    for card in CARDS:
        for function in (card, neighbour(card)):
            bind(function, "vfio-pci")
    bind(NETWORK_CARD, "vfio-pci")


def neighbour(card: str) -> str:
    """Return the other function of a card."""
    return f"{card[:-1]}1"


def bind(address: str, driver: str) -> None:
    """Bind a device to this driver and no other (driver_override, sysfs-bus-pci)."""
    folder = PCI / "devices" / address
    (folder / "driver_override").write_text(driver)
    if driver_of(MACHINE, address) not in (driver, None):
        (folder / "driver/unbind").write_text(address)
    if driver_of(MACHINE, address) is None:
        (PCI / "drivers_probe").write_text(address)
    assert driver_of(MACHINE, address) == driver
