"""The memory that a launcher container needs beside its guest's own, item by item."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from launcher.planner.iothreads import lay_out_iothreads
from launcher.vmi.guest import Disk, Firmware, Guest
from launcher.vmi.guest_machine import InterfaceBackend
from launcher.vmi.guest_storage import ContainerDisk, EmptyDisk, Ephemeral

MEBIBYTE = 1 << 20

# 38 MiB were measured while supervising (Python, libvirt and its QEMU driver in one process), 14 more once /metrics is
# read; the rest is for the moment at which QEMU is started.
_LAUNCHER = 80
# KubeVirt's figures (GetMemoryOverhead): QEMU without its guest's memory and page tables, and each vCPU's share.
_QEMU = 30
_VCPU = 8
_IOTHREAD = 8
# Stacks of QEMU's worker threads; KubeVirt counts them as one IOThread that every guest has.
_WORKERS = 8
# One page-table entry of 8 bytes for each page of 4096, on every architecture that there is.
_GUEST_PER_PAGE_TABLE = 512
# QEMU caches the L2 tables of a qcow2 image, up to 32 MiB each (QEMU, docs/qcow2-cache.txt).
_QCOW2_CACHE = 32
# KubeVirt's figures, too: the card's memory with its VNC server, and swtpm.
_VIDEO = 32
_TPM = 53
# passt (of March 2023) has 31 MiB resident at its start, and 72 MiB of memory in all.
_PASST = 72
# OVMF's code and variables, each in a flash chip.
_UEFI = 8
# Two flash chips of 64 MiB that the board virt always has (QEMU, hw/arm/virt.c).
_ARM_FLASH = 128
# QEMU's buffer of translated code is the smaller of this and an eighth of the machine (QEMU, tcg/region.c).
_TRANSLATED_CODE = 1024
# A container whose limit is its request has nothing to borrow from; KubeVirt adds the same.
_GUARANTEED_RESERVE = 100


class Item(Struct, frozen=True, kw_only=True):
    """One addend: what the memory is for, and how much of it in MiB."""

    what: str
    mebibytes: int


def memory_overhead(guest: Guest, *, is_emulated: bool, is_guaranteed: bool) -> tuple[Item, ...]:
    """Return what the container needs beside the guest's memory, in items that add up; none of them is zero.

    The model is KubeVirt's GetMemoryOverhead (pkg/virt-controller/services, renderresources.go), with this launcher's
    own processes in place of KubeVirt's four. Page cache is not counted: the kernel takes it back.
    """
    items = (
        Item(what="launcher with libvirt's driver in it", mebibytes=_LAUNCHER),
        Item(what="QEMU without its guest", mebibytes=_QEMU),
        Item(what="QEMU's worker threads", mebibytes=_WORKERS),
        *_of_guest(guest),
        Item(what="QEMU's translated code (no KVM)", mebibytes=_TRANSLATED_CODE if is_emulated else 0),
        Item(what="reserve, for a Guaranteed pod cannot borrow", mebibytes=_GUARANTEED_RESERVE if is_guaranteed else 0),
    )
    return tuple(item for item in items if item.mebibytes)


def _of_guest(guest: Guest) -> Iterator[Item]:
    vcpus, iothreads = guest.cpu.topology.vcpus, len(lay_out_iothreads(guest).ids)
    qcow2 = sum(map(_may_be_qcow2, guest.disks))
    tables = mebibytes_of(-(-guest.memory.guest_bytes // _GUEST_PER_PAGE_TABLE))
    yield Item(what="page tables, 1/512 of the guest's memory", mebibytes=tables)
    yield Item(what=f"vCPUs: {vcpus} x {_VCPU}Mi", mebibytes=vcpus * _VCPU)
    yield Item(what=f"IOThreads: {iothreads} x {_IOTHREAD}Mi", mebibytes=iothreads * _IOTHREAD)
    yield Item(what=f"qcow2 images' tables: {qcow2} x {_QCOW2_CACHE}Mi", mebibytes=qcow2 * _QCOW2_CACHE)
    yield from _of_devices(guest)


def _of_devices(guest: Guest) -> Iterator[Item]:
    devices = guest.peripherals
    passt = sum(card.backend is InterfaceBackend.PASST for card in devices.interfaces)
    yield Item(what="graphics card and VNC", mebibytes=0 if devices.video is None else _VIDEO)
    yield Item(what="swtpm", mebibytes=0 if devices.tpm is None else _TPM)
    yield Item(what=f"passt: {passt} x {_PASST}Mi", mebibytes=passt * _PASST)
    if guest.arch == "aarch64":
        yield Item(what="flash of the board", mebibytes=_ARM_FLASH)
    elif guest.firmware is not Firmware.BIOS:
        yield Item(what="UEFI and its variables", mebibytes=_UEFI)


def _may_be_qcow2(disk: Disk) -> bool:
    """Tell whether QEMU may open a qcow2 image for this disk: one so named, or a layer over something read-only."""
    return disk.path.endswith(".qcow2") or isinstance(disk.volume, ContainerDisk | Ephemeral | EmptyDisk)


def total_mebibytes(items: Iterable[Item]) -> int:
    """Add the items up."""
    return sum(item.mebibytes for item in items)


def mebibytes_of(size_bytes: int) -> int:
    """Return the MiB that hold so many bytes, rounded up."""
    return -(-size_bytes // MEBIBYTE)
