"""Guests of more than 255 vCPUs, and what a guest is shown of its threads."""

from __future__ import annotations

import pytest
from lxml import etree
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.domain.blueprint import Blueprint
from launcher.domain.interrupts import check_vcpus
from launcher.domain.parts import ConsolePaths, VirtType
from launcher.domain.read import read_most_vcpus
from launcher.domain.render import render
from launcher.domain.threads import shows_threads
from launcher.errors import DoesNotFit
from launcher.planner.iothreads import lay_out_iothreads
from launcher.planner.model import Pinning
from launcher.vmi.apic import highest_apic_id
from launcher.vmi.guest import Guest, GuestCPU, GuestMemory, Topology
from launcher.vmi.guest_machine import CPUFeature, FeaturePolicy

TEMPLATE = b"<domain><features><acpi/><apic/></features><devices/></domain>"


def _guest(sockets: int = 1, cores: int = 1, threads: int = 1, **cpu: object) -> Guest:
    topology = Topology(sockets=sockets, cores=cores, threads=threads)
    return Guest(
        name="big",
        cpu=replace(GuestCPU(topology=topology), **cpu),
        memory=GuestMemory(guest_bytes=1 << 30),
        machine="q35",
    )


def _blueprint(guest: Guest, virt_type: VirtType = VirtType.KVM) -> Blueprint:
    cpus = CPUSet.parse("0-3")
    return Blueprint(
        guest=guest,
        pinning=Pinning(cpuset=cpus, source="test", vcpus=(), emulator=cpus),
        iothreads=lay_out_iothreads(guest),
        virt_type=virt_type,
        arch=guest.arch,
        console=ConsolePaths(socket="/run/serial0.sock", door="/run/serial0.sock", log="/log/serial0.log"),
        needs_topoext=True,
    )


def _domain(blueprint: Blueprint, template: bytes = TEMPLATE) -> etree._Element:
    return etree.fromstring(render(blueprint, template, "template"))


@pytest.mark.parametrize(
    ("topology", "highest"),
    [((1, 1, 1), 0), ((255, 1, 1), 254), ((2, 64, 2), 255), ((1, 3, 2), 5), ((2, 3, 1), 6), ((3, 65, 1), 320)],
)
def test_the_highest_apic_id_has_whole_bits_for_cores_and_threads(topology: tuple[int, int, int], highest: int) -> None:
    sockets, cores, threads = topology
    assert highest_apic_id(Topology(sockets=sockets, cores=cores, threads=threads)) == highest


@pytest.mark.parametrize(
    ("topology", "extended"),
    [
        pytest.param((255, 1, 1), False, id="255 vCPUs"),
        pytest.param((2, 64, 2), True, id="256 vCPUs"),
        pytest.param((3, 65, 1), True, id="195 vCPUs whose ids have gaps"),
    ],
)
def test_a_guest_whose_apic_ids_are_too_large_has_an_iommu_and_a_split_io_apic(
    topology: tuple[int, int, int], extended: bool
) -> None:
    domain = _domain(_blueprint(_guest(*topology)))
    ioapic, iommu = domain.find("features/ioapic"), domain.find("devices/iommu")
    if not extended:
        assert (ioapic, iommu) == (None, None)
        return
    assert ioapic is not None
    assert ioapic.get("driver") == "qemu"
    assert iommu is not None
    assert iommu.get("model") == "intel"
    driver = iommu.find("driver")
    assert driver is not None
    assert (driver.get("intremap"), driver.get("eim")) == ("on", "on")


def test_what_the_template_says_of_them_stays() -> None:
    template = b'<domain><features><ioapic driver="kvm"/></features><devices><iommu model="virtio"/></devices></domain>'
    domain = _domain(_blueprint(_guest(2, 64, 2)), template)
    assert [ioapic.get("driver") for ioapic in domain.findall("features/ioapic")] == ["kvm"]
    assert [iommu.get("model") for iommu in domain.findall("devices/iommu")] == ["virtio"]


@pytest.mark.parametrize(
    ("topology", "virt_type", "most", "message"),
    [
        pytest.param((2, 64, 2), VirtType.KVM, 288, None, id="as many as QEMU has"),
        pytest.param((2, 64, 2), VirtType.KVM, None, None, id="nobody knows"),
        pytest.param((1, 1, 1), VirtType.QEMU, 1, None, id="a small one, emulated"),
        pytest.param(
            (2, 64, 2),
            VirtType.QEMU,
            288,
            "spec.domain.cpu: 256 vCPUs (sockets 2 x cores 64 x threads 2); emulated ones are 255 at most, with APIC "
            "ids up to 254: run it with KVM (--virt-type kvm), or with fewer",
            id="emulated",
        ),
        pytest.param(
            (3, 65, 1),
            VirtType.QEMU,
            None,
            "spec.domain.cpu: 195 vCPUs with APIC ids up to 320 (sockets 3 x cores 65 x threads 1); emulated ones are "
            "255 at most, with APIC ids up to 254: run it with KVM (--virt-type kvm), or with fewer",
            id="emulated, with gaps",
        ),
        pytest.param(
            (3, 64, 2),
            VirtType.KVM,
            288,
            "spec.domain.cpu: 384 vCPUs (sockets 3 x cores 64 x threads 2); this QEMU's machine q35 has 288 at most: "
            "wanted no more, or a newer QEMU",
            id="more than QEMU has",
        ),
    ],
)
def test_more_vcpus_than_can_be_had_are_refused_with_the_cure(
    topology: tuple[int, int, int], virt_type: VirtType, most: int | None, message: str | None
) -> None:
    guest = _guest(*topology)
    if message is None:
        check_vcpus(guest, virt_type, most)
        return
    with pytest.raises(DoesNotFit) as caught:
        check_vcpus(guest, virt_type, most)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("xml", "most"),
    [("<domainCapabilities><vcpu max='288'/></domainCapabilities>", 288), ("<domainCapabilities/>", None)],
)
def test_the_most_vcpus_are_read_of_libvirts_capabilities(xml: str, most: int | None) -> None:
    assert read_most_vcpus(xml) == most


def _topoext(guest: Guest, virt_type: VirtType = VirtType.KVM, *, needed: bool = True) -> list[str | None]:
    domain = _domain(replace(_blueprint(guest, virt_type), needs_topoext=needed))
    return [feature.get("policy") for feature in domain.findall("cpu/feature[@name='topoext']")]


def test_a_guest_with_threads_has_topoext_where_the_host_needs_it() -> None:
    named = (CPUFeature(name="topoext", policy=FeaturePolicy.DISABLE),)
    assert _topoext(_guest(1, 2, 2)) == ["require"]
    assert _topoext(_guest(1, 4, 1)) == []
    assert _topoext(_guest(1, 2, 2), needed=False) == []
    assert _topoext(_guest(1, 2, 2, features=named)) == ["disable"]
    assert _topoext(_guest(1, 2, 2), VirtType.QEMU) == []


@pytest.mark.parametrize(
    ("model", "virt_type", "shown"),
    [
        (None, VirtType.KVM, True),
        (None, VirtType.QEMU, False),
        ("host-passthrough", VirtType.QEMU, False),
        ("EPYC-Rome", VirtType.QEMU, False),
        ("Nehalem", VirtType.QEMU, True),
    ],
)
def test_an_emulated_guest_does_not_see_its_threads(model: str | None, virt_type: VirtType, shown: bool) -> None:
    assert shows_threads(_guest(1, 2, 2, model=model), virt_type) is shown
