"""Whether the host's devices can be handed to QEMU: driver, IOMMU group, device files and locked memory.

Source: the kernel's Documentation/driver-api/vfio.rst; libvirt's qemuDomainGetMemLockLimitBytes for the memory that
VFIO locks: the guest's, and 1 GiB for the devices' own windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from launcher.host.assigned import AssignedDevice, Bus
from launcher.host.pci import driver_of, iommu_group, pci_devices
from launcher.host.tree import Tree

_DRIVER = "vfio-pci"
# A group is whole where everything in it is driven by one of these, by nothing, or is a bridge (vfio.rst).
_HARMLESS = (_DRIVER, "pci-stub", None)
LOCKED_BEYOND_GUEST_BYTES = 1 << 30
_MIB = 1 << 20


def hindrances(
    devices: Sequence[AssignedDevice],
    tree: Tree,
    *,
    may_open: Callable[[str], bool],
    most_locked_bytes: int | None,
    guest_bytes: int,
) -> tuple[str, ...]:
    """Return everything that keeps QEMU from these devices, a line each with its cure; none where all is well.

    `may_open` tells whether a file of /dev is readable and writable for this user; `most_locked_bytes` is how much
    memory QEMU may lock (RLIMIT_MEMLOCK), None for any amount.
    """
    found = [line for device in devices for line in _of_device(device, tree, may_open)]
    if any(device.bus is not Bus.USB for device in devices):
        found.extend(_of_container(may_open))
        found.extend(_of_memory(most_locked_bytes, guest_bytes))
    return tuple(dict.fromkeys(found))


def _of_device(device: AssignedDevice, tree: Tree, may_open: Callable[[str], bool]) -> Iterator[str]:
    where = f"{device.request.path}: {device.address}"
    if device.bus is Bus.USB:
        bus, place = map(int, device.address.split(":"))
        yield from _unopened(where, f"/dev/bus/usb/{bus:03}/{place:03}", may_open)
        return
    if device.bus is Bus.PCI and (driver := driver_of(tree, device.address)) != _DRIVER:
        bound = "bound to no driver" if driver is None else f"bound to {driver}"
        yield f"{where} is {bound}; wanted {_DRIVER}, to which the node has to bind it (driverctl set-override)"
    group = iommu_group(tree, device.address)
    if group is None:
        yield f"{where} is in no IOMMU group; switch the IOMMU on, in the firmware and in the kernel (intel_iommu=on)"
        return
    number, members = group
    yield from _strangers(device, tree, number, members)
    yield from _unopened(where, f"/dev/vfio/{number}", may_open)


def _strangers(device: AssignedDevice, tree: Tree, group: int, members: Sequence[str]) -> Iterator[str]:
    """Name what else is in the group and driven by somebody: the kernel hands a group on as a whole or not at all."""
    others = set(members) - {device.address}
    bridges = {one.address for one in pci_devices(tree) if one.is_bridge} if others else set()
    for other in sorted(others - bridges):
        driver = driver_of(tree, other)
        if driver not in _HARMLESS:
            yield (
                f"{device.request.path}: {device.address} shares IOMMU group {group} with {other}, bound to {driver}; "
                f"bind that to {_DRIVER}, too, or use a slot whose group is its own"
            )


def _unopened(where: str, file: str, may_open: Callable[[str], bool]) -> Iterator[str]:
    if not may_open(file):
        yield f"{where}: {file} is not there, or not readable and writable for this user; give the container the device"


def _of_container(may_open: Callable[[str], bool]) -> Iterator[str]:
    if not may_open("/dev/vfio/vfio"):
        yield (
            "/dev/vfio/vfio is not there, or not readable and writable for this user; load the module vfio-pci on the "
            "node, and give the container the device"
        )


def _of_memory(most_bytes: int | None, guest_bytes: int) -> Iterator[str]:
    needed = guest_bytes + LOCKED_BEYOND_GUEST_BYTES
    if most_bytes is not None and most_bytes < needed:
        yield (
            f"RLIMIT_MEMLOCK: QEMU may lock {most_bytes // _MIB} MiB, and devices of the host lock the guest's memory, "
            f"{-(-needed // _MIB)} MiB; raise it to that or to unlimited (podman's --ulimit memlock=-1, the container "
            "runtime's default, LimitMEMLOCK of its service)"
        )
