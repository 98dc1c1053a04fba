"""What a manifest asks for in vain, though it is no fault: said, not passed over in silence."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.quantity import Quantity
from launcher.vmi.guest import LONGEST_SERIALS, Guest
from launcher.vmi.guest_machine import USER_NETWORKING, InterfaceBackend
from launcher.vmi.guest_storage import CloudInitKind, is_cloud_init
from launcher.vmi.vhost import VHOST_FIELD, uses_vhost


def notices_of(guest: Guest) -> Iterator[str]:
    """Say what of the manifest is without effect, a sentence each that begins with the field."""
    yield from _of_growth(guest)
    yield from _of_plain_cells(guest)
    yield from _of_vhost(guest)
    yield from _of_disks(guest)
    yield from _of_tags(guest)
    yield from _of_cards(guest)
    if guest.serial.logged and not guest.serial.attached:
        yield "spec.domain.devices.logSerialConsole: without effect: autoattachSerialConsole is false"
    if guest.io_threads.has_spare_count:
        yield (
            "spec.domain.ioThreads.supplementalPoolThreadCount: without effect unless spec.domain.ioThreadsPolicy is "
            "supplementalPool"
        )
    if guest.memory.lower_limit_bytes is not None:
        limit = Quantity.of_units(guest.memory.lower_limit_bytes, binary=True)
        yield (
            f"spec.domain.memory.guest: is more than spec.domain.resources.limits.memory, {limit}: a guest that uses "
            "it all is ended by the kernel for want of memory"
        )
    if guest.ignition and not guest.has_ignition:
        yield (
            "metadata.annotations['kubevirt.io/ignitiondata']: without the word ignition the guest is given nothing, "
            "as by KubeVirt"
        )
    if guest.memory.is_lock_wanted:
        yield (
            "spec.domain.memory.reservedOverhead.memLock: without effect: no limit is raised without privilege; the "
            "node's container runtime says what the Pod may lock (RLIMIT_MEMLOCK)"
        )


def _of_cards(guest: Guest) -> Iterator[str]:
    for card in guest.peripherals.interfaces:
        field = f"spec.domain.devices.interfaces[{card.name}]"
        if card.queues > 1 and card.backend in USER_NETWORKING:
            yield (
                f"spec.domain.devices.networkInterfaceMultiqueue: without effect on {card.name}: user networking has "
                "one queue; a multus network whose device is a tap has as many as there are vCPUs"
            )
        if card.wants_options:
            yield f"{field}.dhcpOptions: without effect: the DHCP server here is QEMU's or passt's, and takes none"
        if card.is_l2_bridge and card.backend is InterfaceBackend.POD:
            yield (
                f"{field}.binding.name: l2bridge: the guest is behind the Pod's address, not on its network with an "
                "address of its own; a multus network with a tap puts it there"
            )


def _of_disks(guest: Guest) -> Iterator[str]:
    for disk in guest.disks:
        field, most = f"spec.domain.devices.disks[{disk.name}]", LONGEST_SERIALS[disk.bus]
        if disk.is_tracked:
            yield f"{field}.changedBlockTracking: without effect: nobody makes backups here"
        if disk.serial is not None and len(disk.serial) > most:
            yield f"{field}.serial: a {disk.bus} disk tells its guest the first {most} characters of it"


def _of_tags(guest: Guest) -> Iterator[str]:
    """Say which tags no guest reads: they come on a config drive alone, and none of a disk, as KubeVirt has it."""
    for disk in guest.disks:
        if disk.tag:
            yield f"spec.domain.devices.disks[{disk.name}].tag: told to no guest, as in KubeVirt; its serial is"
    if any(is_cloud_init(disk.volume, CloudInitKind.CONFIG_DRIVE) for disk in guest.filled_disks):
        return
    cards = (f"interfaces[{card.name}]" for card in guest.peripherals.interfaces if card.tag)
    devices = (f"{device.kind}[{device.name}]" for device in guest.host_devices if device.tag)
    for field in (*cards, *devices):
        yield f"spec.domain.devices.{field}.tag: the guest has no cloudInitConfigDrive, on which it would read it"


def _of_plain_cells(guest: Guest) -> Iterator[str]:
    if guest.cpu.numa_passthrough and guest.memory.huge_page_bytes is None:
        yield (
            "spec.domain.cpu.numa.guestMappingPassthrough: without spec.domain.memory.hugepages, which KubeVirt wants "
            "with it: each cell is bound to its node in ordinary pages, all of them taken at the start"
        )


def _of_vhost(guest: Guest) -> Iterator[str]:
    if guest.cpu.vhost_cpus and not uses_vhost(guest):
        yield (
            f"{VHOST_FIELD}: without effect: nothing of this guest is served by vhost; a virtio card on a multus "
            "network is, and a vsock (autoattachVSOCK)"
        )


def _of_growth(guest: Guest) -> Iterator[str]:
    """Say which bounds of growth are without effect; KubeVirt fills them in by itself, so that they are no fault."""
    if guest.cpu.max_sockets is not None:
        yield (
            f"spec.domain.cpu.maxSockets: {guest.cpu.max_sockets}: no socket is added to a running guest; "
            f"it has {guest.cpu.topology.sockets} until its next start"
        )
    if guest.memory.max_guest_bytes is not None:
        most, memory = (
            Quantity.of_units(size, binary=True) for size in (guest.memory.max_guest_bytes, guest.memory.guest_bytes)
        )
        yield (
            f"spec.domain.memory.maxGuest: {most}: no memory is added to a running guest; it has {memory} until its "
            "next start"
        )
