"""A device of the host that a guest gets, as a frozen value; what finds it is loaded only for a guest that has one."""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from launcher.host.model import NO_NODE
from launcher.vmi.guest_devices import DeviceRequest


class Bus(StrEnum):
    """How libvirt hands a device on."""

    PCI = "pci"
    MEDIATED = "mdev"
    USB = "usb"


class AssignedDevice(Struct, frozen=True, kw_only=True):
    """A device of the host that the guest gets, what it was asked for as, and where it was read that it is ours.

    `address` is a PCI address (0000:41:00.0), a mediated device's UUID, or a USB device's bus:device. What is not known
    of a device, because nothing is known of the host's PCI devices, is as absent: node NO_NODE, no root.
    """

    request: DeviceRequest
    bus: Bus
    address: str
    source: str
    node: int = NO_NODE
    root: str = ""
    wide_bytes: tuple[int, ...] = ()
    is_screen: bool = False
    has_boot_screen: bool = False


def device_nodes(devices: Iterable[AssignedDevice]) -> tuple[int, ...]:
    """Return the NUMA nodes of the guest's devices, ascending; what hangs on no node counts for none."""
    return tuple(sorted({device.node for device in devices if device.node != NO_NODE}))
