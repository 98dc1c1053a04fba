"""What a launcher's Pod may write on its node's disk: the sizes of its emptyDirs, and what of that is asked for.

The kubelet evicts a Pod whose emptyDir, or whose whole, grows beyond its limit: nothing that a guest can make grow is
without one, and each is large enough for what the guest was promised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from launcher.pod.options import PodOptions
from launcher.pod.overhead import Item, mebibytes_of, total_mebibytes
from launcher.vmi.guest import Disk, Guest
from launcher.vmi.guest_storage import CloudInit, ContainerDisk, EmptyDisk, Ephemeral, MountedFolder

# Logs of QEMU, libvirt and the serial console, sockets, UEFI's variables and the TPM's state.
_LOGS = 128
# What a disc of the launcher's can hold (MAX_DISC_BYTES), with its file system.
_DISC = 20
# A qcow2 image's own tables: 8 bytes and a reference count of 2 for each cluster of 64 KiB, and some to begin with.
_TABLES_PER = 4096
_TABLES_LEAST = 8
CACHE_MEBIBYTES = 16
TEMPORARY_MEBIBYTES = 64
TOOLS_MEBIBYTES = 8
# What the kubelet keeps of a container's output by default: five files of 10 MiB each (containerLogMaxSize).
_OUTPUT = 50
# KubeVirt's addition to the manifest's own request (ephemeralStorageOverheadSize, 50M).
_REQUEST = 48


class Scratch(Struct, frozen=True, kw_only=True):
    """The sizes of the Pod's emptyDirs in MiB, and in items what the Pod may write in all."""

    root: int
    container_disks: int
    items: tuple[Item, ...]

    @property
    def request(self) -> int:
        """What a node must have free to begin with."""
        return _REQUEST

    @property
    def limit(self) -> int:
        """What the Pod may come to."""
        return total_mebibytes(self.items)


def scratch_of(guest: Guest, options: PodOptions) -> Scratch:
    """Add up what this guest's Pod may write."""
    layers = tuple(_layers(guest.disks, options))
    discs = sum(isinstance(disk.volume, CloudInit | MountedFolder) for disk in guest.disks)
    root = (
        Item(what="logs, sockets and firmware's state", mebibytes=_LOGS),
        Item(what=f"discs: {discs} x {_DISC}Mi", mebibytes=discs * _DISC),
        *layers,
    )
    copies = 0 if options.image_volumes else len(container_images(guest))
    copied = copies * mebibytes_of(options.layer_bytes)
    beside = (
        Item(what=f"copies of container images' files: {copies} x {options.layer_size}", mebibytes=copied),
        Item(what="busybox, for them", mebibytes=TOOLS_MEBIBYTES if copies else 0),
        Item(what="what libvirt learnt of QEMU", mebibytes=CACHE_MEBIBYTES),
        Item(what="temporary files", mebibytes=TEMPORARY_MEBIBYTES),
        Item(what="the container's output", mebibytes=_OUTPUT),
    )
    items = tuple(item for item in (*root, *beside) if item.mebibytes)
    return Scratch(root=total_mebibytes(root), container_disks=copied, items=items)


def container_images(guest: Guest) -> tuple[str, ...]:
    """Return the images of which files are copied: each container disk's, and the kernel's."""
    disks = tuple(disk.volume.image for disk in guest.disks if isinstance(disk.volume, ContainerDisk))
    boot = guest.kernel_boot
    return disks if boot is None or boot.image is None else (*disks, boot.image)


def _layers(disks: Iterable[Disk], options: PodOptions) -> Iterator[Item]:
    """Yield each image that the guest writes to and that ends with it, with its tables."""
    for disk in disks:
        match disk.volume:
            case EmptyDisk(capacity_bytes=size_bytes):
                size = mebibytes_of(size_bytes)
                what = f"empty disk {disk.name}"
            case ContainerDisk() | Ephemeral():
                size = mebibytes_of(options.layer_bytes)
                what = f"what the guest writes over {disk.name} (--layer-size {options.layer_size})"
            case _:
                continue
        yield Item(what=what, mebibytes=size + size // _TABLES_PER + _TABLES_LEAST)
