"""The board and the peripherals that a manifest asks for."""

from __future__ import annotations

import pytest

from launcher.vmi.guest import Firmware, Guest
from launcher.vmi.guest_machine import (
    TPM,
    Attachment,
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
    Video,
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


def test_a_guest_that_asks_for_nothing_gets_what_kubevirt_gives() -> None:
    guest = _guest({})
    assert (guest.firmware, guest.board, guest.peripherals, guest.cpu.features) == (
        Firmware.BIOS,
        Board(),
        Peripherals(
            interfaces=(Interface(name="default", backend=InterfaceBackend.POD),),
            balloon=Balloon(reports_free_pages=True),
            video=Video(model=VideoModel.VGA, memory_kib=16384),
        ),
        (),
    )


def test_a_guest_that_declines_everything_gets_nothing() -> None:
    declined = ("GraphicsDevice", "MemBalloon", "PodInterface", "InputDevice", "SerialConsole", "VSOCK")
    guest = _guest({f"{DEVICES}.autoattach{name}": False for name in declined})
    assert guest.peripherals == Peripherals()


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
                has_pit=True,
                pit=PitTickPolicy.DELAY,
                has_rtc=True,
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
                parts=(("stimer", "direct", True),),
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
                queues=2,
                mac="52:54:00:aa:bb:cc",
                ports=(Port(port=22), Port(port=53, protocol=Protocol.UDP)),
                boot_order=9,
                acpi_index=7,
            ),
            Interface(name="user", backend=InterfaceBackend.SLIRP, model=InterfaceModel.E1000E, is_up=False),
            Interface(
                name="lan",
                backend=InterfaceBackend.BRIDGE,
                attachment=Attachment(namespace=None, name="br0", devices=("pod094a367b026", "net1")),
                queues=2,
            ),
            Interface(
                name="fast",
                backend=InterfaceBackend.TAP,
                attachment=Attachment(namespace="vms", name="tenant-a", devices=("net1",)),
                queues=2,
            ),
        ),
        has_rng=True,
        watchdog=WatchdogAction.POWEROFF,
        balloon=Balloon(reports_free_pages=True, is_asked_for=True),
        tablets=(Tablet(), Tablet(bus=InputBus.VIRTIO)),
        sound=SoundModel.ICH9,
        tpm=TPM(persistent=True),
        video=Video(model=VideoModel.BOCHS),
        has_vsock=True,
        panics=(PanicModel.HYPERV,),
    )


def test_an_enlightened_vmcs_brings_the_cpu_feature_that_it_needs() -> None:
    pcid = CPUFeature(name="pcid", policy=FeaturePolicy.DISABLE)
    mpx = CPUFeature(name="mpx", policy=FeaturePolicy.DISABLE)
    assert _guest(EVERYTHING).cpu.features == (pcid, CPUFeature(name="invtsc"), CPUFeature(name="vmx"), mpx)
    changes: Changes = {HYPERV: {"evmcs": {}, "vapic": {}}, CPU_FEATURES: [{"name": "vmx", "policy": "force"}]}
    assert _guest(changes).cpu.features == (CPUFeature(name="vmx"),)


# (sentence, the model, the features that are named, the guest's)
MODELS: list[tuple[str, str, list[dict[str, object]], tuple[CPUFeature, ...]]] = [
    ("none_of_the_hosts_model", "host-model", [], ()),
    ("none_of_the_hosts_cpu", "host-passthrough", [], ()),
    ("off_in_a_named_model", "Skylake-Client", [], (CPUFeature(name="mpx", policy=FeaturePolicy.DISABLE),)),
    ("as_it_is_asked_for", "Skylake-Client", [{"name": "mpx"}], (CPUFeature(name="mpx"),)),
]


@pytest.mark.parametrize(("model", "named", "expected"), [row[1:] for row in MODELS], ids=[row[0] for row in MODELS])
def test_mpx_is(model: str, named: list[dict[str, object]], expected: tuple[CPUFeature, ...]) -> None:
    assert _guest({"spec.domain.cpu.model": model, CPU_FEATURES: named}).cpu.features == expected


def test_what_an_enlightenment_needs_is_switched_on_for_it() -> None:
    guest = _guest({HYPERV: {"synictimer": {}, "ipi": {"enabled": False}, "evmcs": {}}})
    assert guest.board.features.hyperv == Hyperv(
        states=(("vapic", True), ("vpindex", True), ("synic", True), ("stimer", True), ("ipi", False), ("evmcs", True))
    )
    assert guest.board.clock.timers == Timers(hypervclock=True)


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
    ("graphics_on_arm64", {}, "aarch64", Video(model=VideoModel.VIRTIO)),
    ("graphics_behind_uefi", {EFI: {"secureBoot": False}}, "x86_64", Video(model=VideoModel.BOCHS)),
    (
        "graphics_of_a_kind",
        {f"{DEVICES}.video": {"type": "virtio"}},
        "x86_64",
        Video(model=VideoModel.VIRTIO, memory_kib=16384),
    ),
    ("a_tablet_with_every_screen_of_arm64", {}, "aarch64", (Tablet(),)),
    ("no_tablet_without_a_screen", {f"{DEVICES}.autoattachGraphicsDevice": False}, "aarch64", ()),
    ("no_tpm", {f"{DEVICES}.tpm": {"enabled": False}}, "x86_64", None),
    ("a_tpm", {f"{DEVICES}.tpm": {}}, "x86_64", TPM()),
    ("a_watchdog", {f"{DEVICES}.watchdog": {"name": "a", "i6300esb": {}}}, "x86_64", WatchdogAction.RESET),
    ("a_watchdog_of_no_kind", {f"{DEVICES}.watchdog": {"name": "a"}}, "x86_64", WatchdogAction.RESET),
    ("a_balloon_of_huge_pages", {"spec.domain.memory.hugepages": {"pageSize": "2Mi"}}, "x86_64", Balloon()),
    (
        "a_balloon_that_is_to_report_nothing",
        {"metadata.annotations": {"kubevirt.io/free-page-reporting-disabled": "true"}},
        "x86_64",
        Balloon(),
    ),
    (
        "a_balloon_of_a_guest_with_cpus_of_its_own",
        {
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
        Video: peripherals.video,
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
    [{"passtBinding": {}}, {"binding": {"name": "passt"}}],
    ids=["new", "plugin"],
)
def test_passt_has_two_names(binding: dict[str, object]) -> None:
    changes = cards(binding)
    assert [one.backend for one in _guest(changes).peripherals.interfaces] == [InterfaceBackend.PASST]


@pytest.mark.parametrize(("is_on", "hyperv"), [(True, Hyperv(is_passed_through=True)), (False, None)])
def test_the_enlightenments_of_the_host_may_be_passed_through(is_on: bool, hyperv: Hyperv | None) -> None:
    changes: dict[str, object] = {"spec.domain.features": {"hypervPassthrough": {"enabled": is_on}}}
    assert _guest(changes).board.features.hyperv == hyperv


def test_a_guest_that_starts_paused_is_told_from_one_that_does_not() -> None:
    assert _guest({"spec.startStrategy": "Paused"}).starts_paused
    assert not _guest({}).starts_paused
