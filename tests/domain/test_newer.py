"""What libvirt 9.0 does not know of a domain is left out and told; a licence is refused."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from launcher.domain.newer import without_newer
from launcher.errors import ExitStatus, HypervisorError
from launcher.vmi.guest import ACPITable, Disk, TableKind
from launcher.vmi.guest_machine import (
    Board,
    Features,
    Hyperv,
    Interface,
    InterfaceBackend,
    InterfaceModel,
    PanicModel,
    Peripherals,
)
from launcher.vmi.guest_storage import BlockSize
from tests.storage.guests import GUEST

PLAIN_SIZE = BlockSize(logical=512, physical=4096)
PLAIN_PARTS = (("stimer", "direct", True),)
NEEDED = "wanted libvirt 11.3 or newer; run this guest in an image with Debian 13"
WITHOUT = "without effect: libvirt knows it from 11.3 on (Debian 13)"


def test_parts_and_granularities_are_left_out_and_told() -> None:
    hyperv = Hyperv(parts=(*PLAIN_PARTS, ("tlbflush", "direct", True), ("tlbflush", "extended", False)))
    disks = (Disk(name="a", block_size=replace(PLAIN_SIZE, discard_granularity=0)), Disk(name="b"))
    guest = replace(GUEST, board=Board(features=Features(hyperv=hyperv)), disks=disks)
    plain, notices = without_newer(guest)
    assert plain.board.features.hyperv == Hyperv(parts=PLAIN_PARTS)
    assert [disk.block_size for disk in plain.disks] == [PLAIN_SIZE, None]
    assert notices == (
        f"spec.domain.features.hyperv.tlbflush.direct: {WITHOUT}",
        f"spec.domain.devices.disks[a].blockSize.custom.discardGranularity: {WITHOUT}",
    )


def test_a_guest_without_any_of_it_stays_as_it_is() -> None:
    guest = replace(GUEST, disks=(Disk(name="a", block_size=PLAIN_SIZE),))
    assert without_newer(guest) == (guest, ())


def test_a_licence_that_would_be_missing_is_refused() -> None:
    guest = replace(GUEST, acpi_tables=(ACPITable(kind=TableKind.MSDM, volume="v", object_name="s"),))
    with pytest.raises(HypervisorError) as refusal:
        without_newer(guest)
    assert str(refusal.value) == f"spec.domain.firmware.acpi.msdmNameRef: {NEEDED}, or take it out"
    assert refusal.value.exit_status is ExitStatus.NOT_STARTED


def test_a_card_that_is_not_there_is_refused() -> None:
    card = Interface(name="a", backend=InterfaceBackend.POD, model=InterfaceModel.IGB)
    with pytest.raises(
        HypervisorError, match=r"^spec\.domain\.devices\.interfaces\[a\]\.model: igb: wanted libvirt 11"
    ):
        without_newer(replace(GUEST, peripherals=Peripherals(interfaces=(card,))))


def test_another_panic_device_tells_the_same() -> None:
    guest = replace(GUEST, peripherals=Peripherals(panics=(PanicModel.HYPERV, PanicModel.PVPANIC)))
    plain, notices = without_newer(guest)
    assert plain.peripherals.panics == (PanicModel.HYPERV, PanicModel.ISA)
    told = "pvpanic: this libvirt has none; the guest has isa, which tells the same"
    assert notices == (f"spec.domain.devices.panicDevices[1].model: {told}",)
