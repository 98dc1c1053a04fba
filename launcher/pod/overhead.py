"""The memory that a launcher container needs beside its guest's own, item by item."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from launcher.planner.iothreads import lay_out_iothreads
from launcher.vmi.guest import Disk, Firmware, Guest
from launcher.vmi.guest_machine import Interface, InterfaceBackend
from launcher.vmi.guest_storage import ContainerDisk, EmptyDisk, Ephemeral

MEBIBYTE = 1 << 20

# 38 MiB were measured while supervising (Python, libvirt and its QEMU driver in one process), 14 more once /metrics is
# read; the rest is for the moment at which QEMU is started, and for a verb that somebody runs in the container later.
# A Pod that is its image's first on a node is charged for the files, too: 70 MiB of page cache, 40 of them mapped.
_LAUNCHER = 80
# KubeVirt's figures (GetMemoryOverhead): QEMU without its guest's memory and page tables, and each vCPU's share.
_QEMU = 30
_VCPU = 8
_IOTHREAD = 8
# Stacks of QEMU's worker threads; KubeVirt counts them as one IOThread that every guest has.
_WORKERS = 8
# A page-table entry of 8 bytes for each page, at least of 4096 bytes on every architecture that there is. QEMU has its
# own, and KVM has tables of the guest's memory beside (the kernel counts both for the container).
_ENTRY_BYTES, _PAGE_BYTES = 8, 4096
# QEMU caches the L2 tables of a qcow2 image, which are 1/8192 of it, up to 32 MiB each, and its reference counts in a
# quarter of a MiB (QEMU, docs/qcow2-cache.txt).
_QCOW2_CACHE, _QCOW2_PER_TABLE, _QCOW2_COUNTS = 32, 8192, 1
# A realtime guest's QEMU is locked in memory whole: its code and libraries, and the stacks of its threads to their end.
# 64 MiB more were measured of a small one; KubeVirt has 100 more for every Guaranteed Pod.
_LOCKED = 100
# KubeVirt's figures, too: the card's memory with its VNC server, and swtpm.
_VIDEO = 32
_TPM = 53
# And beside the guest's memory, which VFIO locks whole, room for the windows of the devices.
_VFIO = 1024
# passt (of March 2023) has 31 MiB resident at its start, and 72 MiB of memory in all.
_PASST = 72
# KubeVirt's limit for the container of one (ResourcesForVirtioFSContainer).
_VIRTIOFSD = 80
# OVMF's code and variables, each in a flash chip.
_UEFI = 8
# Two flash chips of 64 MiB that the board virt always has (QEMU, hw/arm/virt.c).
_ARM_FLASH = 128
# QEMU's buffer of translated code is the smaller of this and an eighth of the machine (QEMU, tcg/region.c).
_TRANSLATED_CODE = 1024


class Item(Struct, frozen=True, kw_only=True):
    """One addend: what the memory is for, and how much of it in MiB."""

    what: str
    mebibytes: int


def memory_overhead(guest: Guest, *, is_emulated: bool) -> tuple[Item, ...]:
    """Return what the container needs beside the guest's memory, in items that add up; none of them is zero.

    The model is KubeVirt's GetMemoryOverhead (pkg/virt-controller/services, renderresources.go), with this launcher's
    own processes in place of KubeVirt's four, and without the 100 MiB that KubeVirt adds for Guaranteed Pods: guests of
    64 MiB to 3 GiB that write to every page, with huge pages and without, use four fifths of their limit and more where
    the Pod is its image's first on the node (tests/kubernetes/test_memory.py). A later one finds the programs' files in
    memory, charged to the first, and leaves some 60 MiB of its limit unused. Page cache beyond that is not counted: the
    kernel takes it back.
    """
    items = (
        Item(what="launcher with libvirt's driver in it", mebibytes=_LAUNCHER),
        Item(what="QEMU without its guest", mebibytes=_QEMU),
        Item(what="QEMU's worker threads", mebibytes=_WORKERS),
        *_of_guest(guest, is_emulated=is_emulated),
        Item(what="QEMU's translated code (no KVM)", mebibytes=_TRANSLATED_CODE if is_emulated else 0),
        Item(what="memory.reservedOverhead", mebibytes=mebibytes_of(guest.memory.reserved_bytes)),
    )
    return tuple(item for item in items if item.mebibytes)


def _of_guest(guest: Guest, *, is_emulated: bool) -> Iterator[Item]:
    vcpus, iothreads = guest.cpu.topology.vcpus, len(lay_out_iothreads(guest).ids)
    qcow2 = tuple(_qcow2_cache(disk) for disk in guest.disks if _may_be_qcow2(disk))
    owners = "QEMU's" if is_emulated else "QEMU's and KVM's"
    yield Item(what=f"page tables, {owners}", mebibytes=_tables(guest, 1 if is_emulated else 2))
    yield Item(what=f"vCPUs: {vcpus} x {_VCPU}Mi", mebibytes=vcpus * _VCPU)
    yield Item(what=f"IOThreads: {iothreads} x {_IOTHREAD}Mi", mebibytes=iothreads * _IOTHREAD)
    is_locked = guest.cpu.realtime_vcpus is not None
    yield Item(what="QEMU locked in memory: its code and all stacks", mebibytes=_LOCKED if is_locked else 0)
    yield Item(what=f"tables of qcow2 images ({len(qcow2)})", mebibytes=sum(qcow2))
    yield from _of_devices(guest)


def _tables(guest: Guest, owners: int) -> int:
    entries = -(-guest.memory.guest_bytes // (guest.memory.huge_page_bytes or _PAGE_BYTES))
    return mebibytes_of(entries * _ENTRY_BYTES * owners)


def _of_devices(guest: Guest) -> Iterator[Item]:
    devices = guest.peripherals
    passt = sum(map(_may_need_passt, devices.interfaces))
    yield Item(what="graphics card and VNC", mebibytes=0 if devices.video is None else _VIDEO)
    yield Item(what="windows of the host's devices (VFIO)", mebibytes=_VFIO if guest.host_devices else 0)
    yield Item(what="swtpm", mebibytes=0 if devices.tpm is None else _TPM)
    shared = len(guest.shared_folders)
    yield Item(what=f"virtiofsd: {shared} x {_VIRTIOFSD}Mi", mebibytes=shared * _VIRTIOFSD)
    yield Item(what=f"passt: {passt} x {_PASST}Mi", mebibytes=passt * _PASST)
    if guest.arch == "aarch64":
        yield Item(what="flash of the board", mebibytes=_ARM_FLASH)
    elif guest.firmware is not Firmware.BIOS:
        yield Item(what="UEFI and its variables", mebibytes=_UEFI)


def _may_need_passt(card: Interface) -> bool:
    """Tell whether passt carries this card's packets, or may: what Multus attaches is seen in the Pod only."""
    return card.backend is InterfaceBackend.PASST or (
        card.attachment is not None and card.backend is InterfaceBackend.BRIDGE
    )


def _may_be_qcow2(disk: Disk) -> bool:
    """Tell whether QEMU may open a qcow2 image for this disk: one so named, or a layer over something read-only."""
    return disk.path.endswith(".qcow2") or isinstance(disk.volume, ContainerDisk | Ephemeral | EmptyDisk)


def _qcow2_cache(disk: Disk) -> int:
    """Return the most that QEMU caches of this image in MiB; of one that somebody else made the size is not known."""
    if not isinstance(disk.volume, EmptyDisk):
        return _QCOW2_CACHE
    return min(_QCOW2_CACHE, mebibytes_of(disk.volume.capacity_bytes // _QCOW2_PER_TABLE) + _QCOW2_COUNTS)


def total_mebibytes(items: Iterable[Item]) -> int:
    """Add the items up."""
    return sum(item.mebibytes for item in items)


def mebibytes_of(size_bytes: int) -> int:
    """Return the MiB that hold so many bytes, rounded up."""
    return -(-size_bytes // MEBIBYTE)
