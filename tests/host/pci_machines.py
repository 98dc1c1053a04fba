"""PCI trees of public machine topologies, written by hand as captures: roots, nodes, groups, drivers, windows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from launcher.host.capture import CaptureTree, parse_capture

GPU, NIC, AUDIO, NVME, PORT = "0x030200", "0x020000", "0x040300", "0x010802", "0x060400"
# First and last address and flags of a 64-bit prefetchable window (IORESOURCE_MEM | _PREFETCH | _MEM_64), and of none.
_WIDE = "0x{first:016x} 0x{last:016x} 0x000000000014220c"
_SMALL = "0x00000000f0000000 0x00000000f0ffffff 0x0000000000040200"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One PCI device: the root complex, the bridges down to it, its node, class, driver, IOMMU group and window."""

    address: str
    root: str
    behind: tuple[str, ...] = ()
    node: int = -1
    device_class: str = GPU
    driver: str | None = "vfio-pci"
    group: int | None = None
    window_bytes: int = 0
    mediated: tuple[str, ...] = ()


def files_of(devices: Iterable[Device]) -> Mapping[str, str]:
    """Return the files of sysfs that the readers read of these devices, by path."""
    files: dict[str, str] = {}
    for place, device in enumerate(devices):
        folder = f"sys/devices/{device.root}"
        for bridge in device.behind:
            folder += f"/{bridge}"
            files |= {f"{folder}/class": PORT, f"{folder}/numa_node": str(device.node)}
        folder += f"/{device.address}"
        files |= {f"{folder}/class": device.device_class, f"{folder}/numa_node": str(device.node)}
        first = 1 << 40
        window = _WIDE.format(first=first, last=first + device.window_bytes - 1) if device.window_bytes else _SMALL
        files[f"{folder}/resource"] = f"{_SMALL}\n{window}"
        files |= {f"{folder}/{uuid}/uevent": "" for uuid in device.mediated}
        if device.driver is not None:
            files[f"sys/bus/pci/drivers/{device.driver}/{device.address}/class"] = device.device_class
        group = place if device.group is None else device.group
        if group >= 0:
            members = (device.address, *device.mediated)
            files |= {f"sys/kernel/iommu_groups/{group}/devices/{member}/class": "" for member in members}
    return files


def text_of(devices: Iterable[Device]) -> str:
    """Return the lines of a capture that tell these devices."""
    written = ((path, text.replace("\n", "\\n")) for path, text in files_of(devices).items())
    return "".join(f"{path}: {text}\n" if text else f"{path}:\n" for path, text in written)


def tree_of(devices: Iterable[Device]) -> CaptureTree:
    """Return these devices as the files of a captured host."""
    return parse_capture(text_of(devices), "pci.host")


def row(root: str, node: int, *addresses: str, **particulars: object) -> tuple[Device, ...]:
    """Return devices of one root complex, each behind a root port of its own."""
    return tuple(
        Device(address=address, root=root, node=node, behind=(f"{root[3:]}:{port:02x}.0",), **particulars)  # type: ignore[arg-type]  # the rows' own words
        for port, address in enumerate(addresses, start=1)
    )
