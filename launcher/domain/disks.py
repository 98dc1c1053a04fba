"""The domain's disks: their images, targets, boot order and the IOThread that serves each."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.inputs import have_usb
from launcher.domain.names import RESERVATION_SOCKET
from launcher.domain.xml import Element, add, add_pci_address
from launcher.storage.model import BackingImage, DiskImage
from launcher.vmi.guest import Disk, DiskBus, DiskDevice
from launcher.vmi.guest_storage import HostMetrics

# Guest names by bus: virtio disks are vda, vdb, ...; the others share sda, sdb, ... as the guest's kernel does.
_PREFIXES = {DiskBus.VIRTIO: "vd", DiskBus.SCSI: "sd", DiskBus.SATA: "sd", DiskBus.USB: "sd"}


def fill_disks(devices: Element, blueprint: Blueprint) -> None:
    """Write one disk element for each disk, in the manifest's order, and the SCSI controller that they need.

    A template may have that controller (index 0) already: a site may want another model or more queues.
    """
    has_scsi = any(disk.bus is DiskBus.SCSI for disk in blueprint.guest.disks)
    if has_scsi and devices.find("controller[@type='scsi'][@index='0']") is None:
        add(devices, "controller", type="scsi", index=0, model="virtio-scsi")
    if any(disk.bus is DiskBus.USB for disk in blueprint.guest.disks):
        have_usb(devices)
    counts = dict.fromkeys(_PREFIXES.values(), 0)
    for disk in blueprint.guest.disks:
        prefix = _PREFIXES[disk.bus]
        _add_disk(devices, disk, prefix + drive_letters(counts[prefix]), blueprint)
        counts[prefix] += 1


def drive_letters(index: int) -> str:
    """Return the letters of the disk with this index, counted as Linux does: a..z, aa, ab, ..."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return letters


def _add_disk(devices: Element, disk: Disk, target: str, blueprint: Blueprint) -> None:
    if disk.is_empty:
        _add_empty_drive(devices, disk, target, blueprint)
        return
    image = blueprint.image(disk.name)
    element = add(devices, "disk", type=_type(is_block=image.is_block), device=disk.device.value)
    _add_driver(element, disk, image, blueprint)
    _add_source(element, image, is_reserved=disk.is_reserved)
    _add_backing(element, image.backing)
    if image.block_size is not None:
        size = image.block_size
        sizes = {"logical_block_size": size.logical, "physical_block_size": size.physical}
        add(element, "blockio", **sizes, discard_granularity=size.discard_granularity)
    add(element, "target", dev=target, bus=disk.bus.value, tray="open" if disk.is_open else None)
    _add_properties(element, disk)
    if disk.bus is DiskBus.SCSI:
        _add_scsi_address(element, disk, blueprint)
    add_pci_address(element, disk.guest_address)
    add(element, "alias", name=f"ua-{disk.name}")


def _add_empty_drive(devices: Element, disk: Disk, target: str, blueprint: Blueprint) -> None:
    element = add(devices, "disk", type="file", device=disk.device.value)
    add(element, "driver", name="qemu", type="raw", error_policy=disk.error_policy.value)
    add(element, "target", dev=target, bus=disk.bus.value, tray="open" if disk.is_open else None)
    _add_properties(element, disk)
    if disk.bus is DiskBus.SCSI:
        _add_scsi_address(element, disk, blueprint)
    add(element, "alias", name=f"ua-{disk.name}")


def _type(*, is_block: bool) -> str:
    return "block" if is_block else "file"


def _add_source(element: Element, image: DiskImage | BackingImage, *, is_reserved: bool = False) -> None:
    source = add(element, "source", **{"dev" if image.is_block else "file": image.path})
    if image.group:
        source.set("fdgroup", image.group)
    if is_reserved:
        # Unmanaged: libvirt would start a helper of its own, which needs root.
        helper = add(source, "reservations", managed="no")
        add(helper, "source", type="unix", path=RESERVATION_SOCKET, mode="client")


def _add_backing(element: Element, backing: BackingImage | None) -> None:
    """Write the whole chain down to its end, so that libvirt looks for none in the images themselves."""
    if backing is None:
        add(element, "backingStore")
        return
    store = add(element, "backingStore", type=_type(is_block=backing.is_block))
    add(store, "format", type=backing.format.value)
    _add_source(store, backing)
    _add_backing(store, None)


def _add_properties(element: Element, disk: Disk) -> None:
    if disk.readonly and not disk.is_called_writable:
        add(element, "readonly")
    if disk.shareable:
        add(element, "shareable")
    if disk.serial is not None:
        add(element, "serial", disk.serial)
    if disk.boot_order is not None:
        add(element, "boot", order=disk.boot_order)


def _add_scsi_address(element: Element, disk: Disk, blueprint: Blueprint) -> None:
    """Put the disk on the one controller: libvirt puts seven there and makes a controller of another model for more."""
    unit = [other.name for other in blueprint.guest.disks if other.bus is DiskBus.SCSI].index(disk.name)
    add(element, "address", type="drive", controller=0, bus=0, target=0, unit=unit)


def _add_driver(element: Element, disk: Disk, image: DiskImage, blueprint: Blueprint) -> None:
    driver = add(
        element,
        "driver",
        name="qemu",
        type=image.format.value,
        cache=image.cache.value,
        error_policy=disk.error_policy.value,
        io=image.io,
        # As KubeVirt has it: what the guest no longer needs is given back to the file system.
        discard=None if disk.device is DiskDevice.CDROM or isinstance(disk.volume, HostMetrics) else "unmap",
        queues=disk.queues,
    )
    served_by = blueprint.iothreads.serving(disk.name)
    if len(served_by) == 1:
        driver.set("iothread", str(served_by[0]))
    elif served_by and blueprint.shares_iothreads:
        threads = add(driver, "iothreads")
        for iothread in served_by:
            add(threads, "iothread", id=iothread)
    elif served_by:
        driver.set("iothread", str(served_by[_position_among_pooled(disk, blueprint) % len(served_by)]))


def _position_among_pooled(disk: Disk, blueprint: Blueprint) -> int:
    pooled = [other.name for other in blueprint.guest.disks if len(blueprint.iothreads.serving(other.name)) > 1]
    return pooled.index(disk.name)
