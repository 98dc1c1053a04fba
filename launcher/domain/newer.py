"""What libvirt 9.0 does not know of a domain: left out, and said, or refused where the guest would miss it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from launcher.errors import HypervisorError
from launcher.vmi.guest import Disk, Guest, TableKind
from launcher.vmi.guest_machine import Features, InterfaceModel, PanicModel, Peripherals

_HYPERV, _TLBFLUSH = "spec.domain.features.hyperv", "tlbflush"
_NEEDED = "wanted libvirt 11.3 or newer; run this guest in an image with Debian 13"
_WITHOUT = "without effect: libvirt knows it from 11.3 on (Debian 13)"


def without_newer(guest: Guest) -> tuple[Guest, tuple[str, ...]]:
    """Return the guest without what is but an improvement, and a sentence for each; raises HypervisorError.

    A licence is none: Windows would ask for another.
    """
    if any(table.kind is TableKind.MSDM for table in guest.acpi_tables):
        raise HypervisorError(f"spec.domain.firmware.acpi.msdmNameRef: {_NEEDED}, or take it out")
    _check_cards(guest.peripherals)
    features = guest.board.features
    plain = replace(
        guest,
        board=replace(guest.board, features=_without_parts(features)),
        peripherals=replace(guest.peripherals, panics=tuple(map(_older, guest.peripherals.panics))),
        disks=tuple(_without_granularity(disk) for disk in guest.disks),
    )
    return plain, (*_parts(features), *_granularities(guest), *_panics(guest.peripherals))


def _check_cards(peripherals: Peripherals) -> None:
    for card in peripherals.interfaces:
        if card.model is InterfaceModel.IGB:
            raise HypervisorError(
                f"spec.domain.devices.interfaces[{card.name}].model: igb: {_NEEDED}, or take e1000e or virtio"
            )


def _older(panic: PanicModel) -> PanicModel:
    return PanicModel.ISA if panic is PanicModel.PVPANIC else panic


def _panics(peripherals: Peripherals) -> Iterator[str]:
    for index, panic in enumerate(peripherals.panics):
        if panic is PanicModel.PVPANIC:
            yield (
                f"spec.domain.devices.panicDevices[{index}].model: pvpanic: this libvirt has none; the guest has isa, "
                "which tells the same"
            )


def _parts(features: Features) -> Iterator[str]:
    for name, part, on in () if features.hyperv is None else features.hyperv.parts:
        if name == _TLBFLUSH and on:
            yield f"{_HYPERV}.{name}.{part}: {_WITHOUT}"


def _granularities(guest: Guest) -> Iterator[str]:
    for disk in guest.disks:
        if disk.block_size is not None and disk.block_size.discard_granularity is not None:
            yield f"spec.domain.devices.disks[{disk.name}].blockSize.custom.discardGranularity: {_WITHOUT}"


def _without_parts(features: Features) -> Features:
    hyperv = features.hyperv
    if hyperv is None:
        return features
    parts = tuple(part for part in hyperv.parts if part[0] != _TLBFLUSH)
    return replace(features, hyperv=replace(hyperv, parts=parts))


def _without_granularity(disk: Disk) -> Disk:
    if disk.block_size is None:
        return disk
    return replace(disk, block_size=replace(disk.block_size, discard_granularity=None))
