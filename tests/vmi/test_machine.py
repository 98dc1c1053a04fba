"""The board and the peripherals that a manifest asks for."""

from __future__ import annotations

import pytest

from launcher.vmi.guest import Firmware, Guest
from launcher.vmi.guest_machine import (
    TPM,
    Balloon,
    Board,
    Chassis,
    Clock,
    CPUFeature,
    FeaturePolicy,
    Features,
    Hyperv,
    InputBus,
    Interface,
    InterfaceBackend,
    InterfaceModel,
    PanicModel,
    Peripherals,
    PitTickPolicy,
    Port,
    Protocol,
    RtcTickPolicy,
    RtcTrack,
    SoundModel,
    Tablet,
    Timers,
    VideoModel,
    WatchdogAction,
)
from launcher.vmi.load import admitted
from tests.vmi.machine_rows import (
    CLOCK,
    CPU_FEATURES,
    DEVICES,
    EFI,
    EVERYTHING,
    FEATURES,
    HYPERV,
    MULTUS,
    cards,
)
from tests.vmi.manifests import Changes, document


def _guest(changes: Changes, arch: str = "x86_64") -> Guest:
    return admitted(document(changes), arch=arch).guest


def test_a_guest_that_asks_for_nothing_gets_nothing() -> None:
    guest = _guest({})
    assert (guest.firmware, guest.board, guest.peripherals, guest.cpu.features) == (
        Firmware.BIOS,
        Board(),
        Peripherals(),
        (),
    )


def test_a_guest_gets_every_part_of_the_board_that_it_asks_for() -> None:
    guest = _guest(EVERYTHING)
    on = ("relaxed", "vapic", "spinlocks", "vpindex", "runtime", "synic", "stimer", "reset", "vendor_id")
    more = ("frequencies", "reenlightenment", "tlbflush", "ipi", "evmcs")
    assert guest.firmware is Firmware.EFI
    assert guest.board == Board(
        clock=Clock(
            offset_s=90,
            timers=Timers(
                hpet=False,
                kvmclock=True,
                hypervclock=True,
                pit=PitTickPolicy.DELAY,
                rtc=RtcTickPolicy.CATCHUP,
                rtc_track=RtcTrack.WALL,
            ),
        ),
        features=Features(
            acpi=True,
            apic=True,
            end_of_interrupt=True,
            hyperv=Hyperv(
                states=tuple((name, True) for name in (*on, *more)),
                spinlock_retries=4096,
                vendor_id="KVMKVMKVM",
                direct_timer=True,
            ),
            kvm_hidden=True,
            pvspinlock=False,
            smm=True,
        ),
        serial_number="42, or so",
        chassis=Chassis(manufacturer="Acme", version="1", serial="s", asset="a", sku="k"),
        secure_boot=True,
        keeps_variables=True,
    )


def test_a_guest_gets_every_device_that_it_asks_for() -> None:
    assert _guest(EVERYTHING).peripherals == Peripherals(
        interfaces=(
            Interface(
                name="default",
                backend=InterfaceBackend.PASST,
                mac="52:54:00:aa:bb:cc",
                ports=(Port(port=22), Port(port=53, protocol=Protocol.UDP)),
                boot_order=9,
                acpi_index=7,
            ),
            Interface(name="user", backend=InterfaceBackend.SLIRP, model=InterfaceModel.E1000E, is_up=False),
            Interface(name="lan", backend=InterfaceBackend.BRIDGE, device="br0", queues=2),
            Interface(name="fast", backend=InterfaceBackend.TAP, device="net1", queues=2),
        ),
        has_rng=True,
        watchdog=WatchdogAction.POWEROFF,
        balloon=Balloon(reports_free_pages=True),
        tablets=(Tablet(), Tablet(bus=InputBus.VIRTIO)),
        sound=SoundModel.ICH9,
        tpm=TPM(persistent=True),
        video=VideoModel.VGA,
        has_vsock=True,
        panics=(PanicModel.HYPERV,),
    )


def test_an_enlightened_vmcs_brings_the_cpu_feature_that_it_needs() -> None:
    pcid = CPUFeature(name="pcid", policy=FeaturePolicy.DISABLE)
    assert _guest(EVERYTHING).cpu.features == (pcid, CPUFeature(name="invtsc"), CPUFeature(name="vmx"))
    changes: Changes = {HYPERV: {"evmcs": {}, "vapic": {}}, CPU_FEATURES: [{"name": "vmx", "policy": "force"}]}
    assert _guest(changes).cpu.features == (CPUFeature(name="vmx", policy=FeaturePolicy.FORCE),)


def test_a_feature_that_is_off_is_off_and_not_absent() -> None:
    off: dict[str, object] = {"enabled": False}
    changes: Changes = {
        FEATURES: {
            "acpi": off,
            "apic": off,
            "smm": off,
            "kvm": {},
            "hyperv": {"relaxed": off, "spinlocks": off, "vendorid": off, "synictimer": off},
        }
    }
    assert _guest(changes).board.features == Features(
        acpi=False,
        apic=False,
        hyperv=Hyperv(states=(("relaxed", False), ("spinlocks", False), ("stimer", False), ("vendor_id", False))),
        kvm_hidden=False,
        smm=False,
    )


# (sentence, changes, architecture, what the guest has of it)
PARTS: list[tuple[str, Changes, str, object]] = [
    ("utc_without_offset", {CLOCK: {"utc": {}}}, "x86_64", Clock(offset_s=0)),
    ("a_zone", {CLOCK: {"timezone": "Europe/Berlin"}}, "x86_64", Clock(timezone="Europe/Berlin")),
    ("uefi_of_arm64", {}, "aarch64", Firmware.EFI),
    ("uefi_without_secure_boot", {EFI: {"secureBoot": False}}, "x86_64", False),
    ("a_tablet_attached", {f"{DEVICES}.autoattachInputDevice": True}, "x86_64", (Tablet(),)),
    ("graphics_on_arm64", {f"{DEVICES}.autoattachGraphicsDevice": True}, "aarch64", VideoModel.VIRTIO),
    ("a_graphics_card_alone", {f"{DEVICES}.video": {"type": "bochs"}}, "x86_64", VideoModel.BOCHS),
    ("no_tpm", {f"{DEVICES}.tpm": {"enabled": False}}, "x86_64", None),
    ("a_tpm", {f"{DEVICES}.tpm": {}}, "x86_64", TPM()),
    ("a_watchdog", {f"{DEVICES}.watchdog": {"name": "a", "i6300esb": {}}}, "x86_64", WatchdogAction.RESET),
    (
        "a_balloon_of_huge_pages",
        {f"{DEVICES}.autoattachMemBalloon": True, "spec.domain.memory.hugepages": {"pageSize": "2Mi"}},
        "x86_64",
        Balloon(),
    ),
    (
        "a_balloon_of_a_guest_with_cpus_of_its_own",
        {
            f"{DEVICES}.autoattachMemBalloon": True,
            "spec.domain.cpu.dedicatedCpuPlacement": True,
            "spec.domain.cpu.cores": 1,
        },
        "x86_64",
        Balloon(),
    ),
]


@pytest.mark.parametrize(("changes", "arch", "expected"), [row[1:] for row in PARTS], ids=[row[0] for row in PARTS])
def test_a_part_of_the_machine_is(changes: Changes, arch: str, expected: object) -> None:
    guest = _guest({f"{DEVICES}.disks[0].disk.bus": "virtio", **changes}, arch)
    board, peripherals = guest.board, guest.peripherals
    parts = {
        Clock: board.clock,
        Firmware: guest.firmware,
        bool: board.secure_boot,
        tuple: peripherals.tablets,
        VideoModel: peripherals.video,
        TPM: peripherals.tpm,
        type(None): peripherals.tpm,
        WatchdogAction: peripherals.watchdog,
        Balloon: peripherals.balloon,
    }
    assert parts[type(expected)] == expected


# (sentence, the number of vCPUs, the card, queues)
QUEUES: list[tuple[str, int, dict[str, object], int]] = [
    ("one_for_each_vcpu", 4, {"bridge": {}}, 4),
    ("as_many_as_a_tap_has", 300, {"binding": {"name": "tap"}}, 256),
    ("one_without_virtio", 4, {"bridge": {}, "model": "e1000e"}, 1),
]


@pytest.mark.parametrize(("vcpus", "card", "queues"), [row[1:] for row in QUEUES], ids=[row[0] for row in QUEUES])
def test_queues_are(vcpus: int, card: dict[str, object], queues: int) -> None:
    changes: Changes = {
        **cards(card, {"bridge": {}}, network=MULTUS),
        f"{DEVICES}.networkInterfaceMultiqueue": True,
        "spec.domain.cpu.cores": vcpus,
    }
    assert _guest(changes).peripherals.interfaces[0].queues == queues


def test_a_card_has_one_queue_where_no_more_are_asked_for() -> None:
    changes: Changes = {**cards({"bridge": {}}, network=MULTUS), "spec.domain.cpu.cores": 4}
    assert _guest(changes).peripherals.interfaces[0].queues == 1


@pytest.mark.parametrize(
    "binding",
    [{"passt": {}}, {"passtBinding": {}}, {"binding": {"name": "passt"}}],
    ids=["old", "new", "plugin"],
)
def test_passt_has_three_names(binding: dict[str, object]) -> None:
    changes = cards(binding)
    assert [one.backend for one in _guest(changes).peripherals.interfaces] == [InterfaceBackend.PASST]
