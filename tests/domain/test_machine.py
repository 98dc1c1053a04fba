"""The machine beside disks: what the manifest says overrules the template, setting by setting, and nothing else."""

from __future__ import annotations

import pytest
from lxml import etree
from msgspec.structs import replace
from msgspec.structs import replace as replaced

from launcher.domain.blueprint import Blueprint
from launcher.domain.parts import VirtType
from launcher.domain.render import render
from launcher.vmi.guest_machine import (
    Balloon,
    Board,
    Clock,
    Features,
    Hyperv,
    InputBus,
    PanicModel,
    Peripherals,
    PitTickPolicy,
    Tablet,
    Timers,
)
from tests.domain.blueprints import smallest, windows

TEMPLATE = b"""<domain>
  <sysinfo type="smbios"><system><entry name="manufacturer">Site</entry></system></sysinfo>
  <features><acpi/><apic/><vmport state="off"/><hyperv><relaxed state="off"/><vapic state="on"/></hyperv></features>
  <clock offset="variable" adjustment="7" basis="utc"><timer name="pit" present="yes"/><timer name="tsc"/></clock>
  <devices>
    <controller type="usb" model="none"/><controller type="pci" model="pcie-root"/>
    <memballoon model="none"/><panic model="isa"/>
  </devices>
</domain>"""


def _domain(blueprint: Blueprint) -> etree._Element:
    return etree.fromstring(render(blueprint, TEMPLATE, "t.xml"))


def _with(board: Board | None = None, peripherals: Peripherals | None = None) -> Blueprint:
    blueprint = smallest()
    guest = replace(blueprint.guest, board=board or Board(), peripherals=peripherals or Peripherals())
    return replace(blueprint, guest=guest)


def _found(domain: etree._Element, path: str) -> etree._Element:
    found = domain.find(path)
    assert found is not None, path
    return found


def _attributes(element: etree._Element) -> dict[str, str]:
    return {str(name): str(value) for name, value in element.attrib.items()}


def _shown(domain: etree._Element, path: str) -> list[str]:
    """Return what lies below this path, each element as `name attribute=value ...`."""
    return [
        " ".join([str(child.tag), *(f"{name}={value}" for name, value in _attributes(child).items())])
        for child in _found(domain, path)
    ]


def _realtime(virt_type: VirtType) -> Blueprint:
    blueprint = smallest()
    cpu = replace(blueprint.guest.cpu, realtime_vcpus=frozenset({0}))
    return replace(blueprint, virt_type=virt_type, guest=replace(blueprint.guest, cpu=cpu))


def test_a_locked_guest_that_is_emulated_has_little_translated_code_to_lock() -> None:
    cache = _found(_domain(_realtime(VirtType.QEMU)), "features/tcg/tb-cache")
    assert (cache.text, cache.get("unit")) == ("64", "MiB")


def test_a_template_may_give_it_more() -> None:
    template = TEMPLATE.replace(b"<apic/>", b'<apic/><tcg><tb-cache unit="MiB">256</tb-cache></tcg>')
    domain = etree.fromstring(render(_realtime(VirtType.QEMU), template, "t.xml"))
    assert [cache.text for cache in domain.iterfind("features/tcg/tb-cache")] == ["256"]


@pytest.mark.parametrize("blueprint", [_realtime(VirtType.KVM), smallest()], ids=["under KVM", "not locked"])
def test_no_other_guest_has_a_bound_on_it(blueprint: Blueprint) -> None:
    assert _domain(blueprint).find("features/tcg") is None


def test_a_guest_that_says_nothing_has_what_the_template_says() -> None:
    domain = _domain(_with())
    assert _shown(domain, "features") == ["acpi", "apic", "vmport state=off", "hyperv"]
    assert _attributes(_found(domain, "clock")) == {"offset": "variable", "adjustment": "7", "basis": "utc"}
    assert _shown(domain, "clock") == ["timer name=pit present=yes", "timer name=tsc"]
    assert domain.findtext("sysinfo/system/entry") == "Site"
    assert _found(domain, "os/smbios").get("mode") == "sysinfo"


def test_a_feature_overrules_its_like_and_no_other() -> None:
    hyperv = Hyperv(states=(("relaxed", True), ("vpindex", True)))
    domain = _domain(_with(Board(features=Features(acpi=False, end_of_interrupt=True, hyperv=hyperv, smm=False))))
    assert _shown(domain, "features") == ["apic eoi=on", "vmport state=off", "hyperv", "smm state=off"]
    assert _shown(domain, "features/hyperv") == ["relaxed state=on", "vapic state=on", "vpindex state=on"]


# (sentence, the clock, the attributes of the domain's)
OFFSETS: list[tuple[str, Clock, dict[str, str]]] = [
    ("utc", Clock(offset_s=0), {"offset": "utc", "adjustment": "reset"}),
    ("beside_utc", Clock(offset_s=-60), {"offset": "utc", "adjustment": "-60"}),
    ("a_zone", Clock(timezone="Asia/Tokyo"), {"offset": "timezone", "timezone": "Asia/Tokyo"}),
    (
        "timers_alone",
        Clock(timers=Timers(hpet=False)),
        {"offset": "variable", "adjustment": "7", "basis": "utc"},
    ),
]


@pytest.mark.parametrize(("clock", "expected"), [row[1:] for row in OFFSETS], ids=[row[0] for row in OFFSETS])
def test_the_clock_is(clock: Clock, expected: dict[str, str]) -> None:
    assert _attributes(_found(_domain(_with(Board(clock=clock))), "clock")) == expected


def test_a_timer_overrules_its_like_and_no_other() -> None:
    timers = Timers(pit=PitTickPolicy.DELAY, kvmclock=True)
    assert _shown(_domain(_with(Board(clock=Clock(timers=timers)))), "clock") == [
        "timer name=pit present=yes tickpolicy=delay",
        "timer name=tsc",
        "timer name=kvmclock present=yes",
    ]


def test_a_clock_that_no_template_names_is_utc() -> None:
    blueprint = _with(Board(clock=Clock(timers=Timers(hpet=False))))
    domain = etree.fromstring(render(blueprint, b"<domain/>", "t.xml"))
    assert _found(domain, "clock").get("offset") == "utc"


def test_the_systems_serial_number_joins_the_templates_words() -> None:
    domain = _domain(_with(Board(serial_number="7")))
    assert [entry.text for entry in domain.findall("sysinfo/system/entry")] == ["Site", "7"]


# (sentence, the devices, the path, what is found there)
REPLACED: list[tuple[str, Peripherals, str, list[str | None]]] = [
    ("a_tablet_on_usb", Peripherals(tablets=(Tablet(),)), "devices/controller[@type='usb']", ["qemu-xhci"]),
    (
        "a_tablet_on_virtio",
        Peripherals(tablets=(Tablet(bus=InputBus.VIRTIO),)),
        "devices/controller[@type='usb']",
        ["none"],
    ),
    ("a_balloon_asked_for", Peripherals(balloon=Balloon(is_asked_for=True)), "devices/memballoon", ["virtio"]),
    ("no_balloon_of_kubevirts", Peripherals(balloon=Balloon()), "devices/memballoon", ["none"]),
    ("a_keyboard", Peripherals(has_keyboard=True), "devices/controller[@type='usb']", ["qemu-xhci"]),
    ("a_panic_device_there", Peripherals(panics=(PanicModel.ISA,)), "devices/panic", ["isa"]),
    ("another_panic_device", Peripherals(panics=(PanicModel.HYPERV,)), "devices/panic", ["isa", "hyperv"]),
]


@pytest.mark.parametrize(
    ("peripherals", "path", "expected"), [row[1:] for row in REPLACED], ids=[row[0] for row in REPLACED]
)
def test_a_device_takes_the_place_of_the_templates(
    peripherals: Peripherals, path: str, expected: list[str | None]
) -> None:
    domain = _domain(_with(peripherals=peripherals))
    assert [found.get("model") for found in domain.findall(path)] == expected
    assert domain.find("devices/controller[@type='pci']") is not None


# (sentence, how its CPUs run, its model, whether they are its own, whether it is told so)
HINTS = [
    ("dedicated_under_kvm", VirtType.KVM, "host-passthrough", True, True),
    ("dedicated_under_tcg", VirtType.QEMU, "host-passthrough", True, False),
    ("dedicated_of_another_model", VirtType.KVM, "host-model", True, True),
    ("not_dedicated", VirtType.KVM, "host-passthrough", False, False),
]


@pytest.mark.parametrize(
    ("virt_type", "model", "dedicated", "expected"), [row[1:] for row in HINTS], ids=[str(row[0]) for row in HINTS]
)
def test_a_guest_is_told_that_its_cpus_are_its_own(
    virt_type: VirtType, model: str, *, dedicated: bool, expected: bool
) -> None:
    blueprint = replace(smallest(), virt_type=virt_type)
    cpu = replace(blueprint.guest.cpu, model=model, dedicated=dedicated)
    domain = _domain(replace(blueprint, guest=replace(blueprint.guest, cpu=cpu)))
    assert (domain.find("features/kvm/hint-dedicated") is not None) is expected


def test_no_text_of_the_manifest_becomes_xml() -> None:
    text = "'\"/><x>&amp;</x><!--"
    blueprint = windows()
    board = replaced(blueprint.guest.board, serial_number=text, clock=Clock(timezone=text))
    domain = _domain(replace(blueprint, guest=replace(blueprint.guest, board=board)))
    assert (domain.findtext("sysinfo/system/entry[@name='serial']"), _found(domain, "clock").get("timezone")) == (
        text,
        text,
    )
    assert domain.find(".//x") is None
