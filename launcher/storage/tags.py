"""What a config drive tells its guest of tagged devices: each one's address in the guest, and which vCPUs are near it.

The addresses are libvirt's choice and known once QEMU is there. So the disc is made with room in its metadata, and what
is known is written into that room before the guest's first instruction.

Source: KubeVirt's pkg/cloud-init (DeviceData) and pkg/virt-launcher/virtwrap/manager.go (buildDevicesMetadata), after
OpenStack's device role tagging. A device of the host says the host's number of its NUMA node where the guest has cells,
and else, where vCPUs are pinned, which of them are on its node. As there, no disc of NoCloud has any of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from enum import StrEnum

from msgspec import Struct

from launcher.errors import HypervisorError
from launcher.files import reason
from launcher.storage.layout import disc_path
from launcher.vmi.guest import Guest
from launcher.vmi.guest_storage import CloudInitKind, is_cloud_init

METADATA = "openstack/latest/meta_data.json"
# More than a device's entry has beside its tag and the numbers of its vCPUs.
_ENTRY_BYTES = 192
# The digits of a vCPU's number, and what parts it from the next.
_VCPU_BYTES = 6
_SECTOR_BYTES = 2048


class DeviceType(StrEnum):
    """What a tagged device is to the guest, in KubeVirt's words."""

    CARD = "nic"
    HOST_DEVICE = "hostdev"


class TaggedDevice(Struct, frozen=True, kw_only=True):
    """A tagged device and where the guest finds it: its bus, its address there, a card's MAC, and what is near it."""

    type: DeviceType
    bus: str
    address: str
    tag: str
    mac: str = ""
    node: int | None = None
    vcpus: tuple[int, ...] = ()


def tags_of(guest: Guest) -> tuple[str, ...]:
    """Return the tags of the guest's network cards, then those of the host's devices."""
    cards = (card.tag for card in guest.peripherals.interfaces if card.tag)
    return (*cards, *(device.tag for device in guest.host_devices if device.tag))


def has_config_drive(guest: Guest) -> bool:
    """Tell whether the guest has a disc on which it may read of its tags."""
    return any(is_cloud_init(disk.volume, CloudInitKind.CONFIG_DRIVE) for disk in guest.filled_disks)


def room_for_tags(guest: Guest) -> int:
    """Return how many bytes the metadata of a config drive is longer by, so that any addresses fit in."""
    vcpus = _VCPU_BYTES * guest.cpu.topology.vcpus
    return sum(_ENTRY_BYTES + len(json.dumps(tag)) + vcpus for tag in tags_of(guest))


def tell_tags(folder: str, guest: Guest, devices: Sequence[TaggedDevice]) -> None:
    """Write the devices into the room on each config drive in this folder, in place: QEMU has it open already.

    May be done again. Raises HypervisorError where a disc is not there, or has no room.
    """
    for disk in guest.filled_disks:
        if is_cloud_init(disk.volume, CloudInitKind.CONFIG_DRIVE):
            path = disc_path(folder, disk.name)
            try:
                _write(path, [_entry(device) for device in devices])
            except OSError as error:
                raise HypervisorError(f"{path}: {reason(error)}; wanted the disc made for this guest") from error


def _entry(device: TaggedDevice) -> dict[str, object]:
    return dict(_fields(device))


def _fields(device: TaggedDevice) -> Iterator[tuple[str, object]]:
    """Yield KubeVirt's fields in its order; what is empty or 0 is left out there, so here."""
    yield from (("type", device.type), ("bus", device.bus), ("address", device.address))
    if device.mac:
        yield "mac", device.mac
    if device.node:
        yield "numaNode", device.node
    if device.vcpus:
        yield "alignedCPUs", device.vcpus
    yield "tags", [device.tag]


def _write(path: str, entries: list[dict[str, object]]) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(descriptor, "r+b") as disc:  # noqa: PTH123 - a descriptor
        start, length = _metadata(path)
        disc.seek(start)
        data = json.dumps({**json.loads(disc.read(length)), "devices": entries}).encode()
        if len(data) > length:
            raise HypervisorError(f"{path}: {len(data)} bytes of metadata do not fit into the {length} that it has")
        disc.seek(start)
        disc.write(data.ljust(length))
        disc.flush()
        # QEMU may read past the page cache.
        os.fsync(disc.fileno())


def _metadata(path: str) -> tuple[int, int]:
    """Return where on the disc its metadata begins and how long it is, in bytes."""
    from pycdlib import PyCdlib  # noqa: PLC0415 - as discs.py

    disc = PyCdlib()
    disc.open(path)
    try:
        record = disc.get_record(rr_path=f"/{METADATA}")
        return record.extent_location() * _SECTOR_BYTES, record.get_data_length()
    finally:
        disc.close()
