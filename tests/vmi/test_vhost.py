"""Which guests are served by vhost, and on which Linux its threads can be given CPUs."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from launcher.vmi.guest import Guest, GuestCPU, GuestMemory, Topology
from launcher.vmi.guest_machine import Interface, InterfaceBackend, InterfaceModel, Peripherals
from launcher.vmi.notices import notices_of
from launcher.vmi.vhost import out_of_reach, uses_vhost

PLAIN = Guest(
    name="guest",
    cpu=GuestCPU(topology=Topology(), dedicated=True, vhost_cpus=1),
    memory=GuestMemory(guest_bytes=1 << 30),
)


def _with_card(backend: InterfaceBackend, model: InterfaceModel = InterfaceModel.VIRTIO) -> Guest:
    return replace(PLAIN, peripherals=Peripherals(interfaces=(Interface(name="n", backend=backend, model=model),)))


@pytest.mark.parametrize(
    ("guest", "served"),
    [
        pytest.param(PLAIN, False, id="nothing"),
        pytest.param(replace(PLAIN, peripherals=Peripherals(has_vsock=True)), True, id="a vsock"),
        pytest.param(_with_card(InterfaceBackend.TAP), True, id="a tap"),
        pytest.param(_with_card(InterfaceBackend.BRIDGE), True, id="a bridge"),
        pytest.param(_with_card(InterfaceBackend.TAP, InterfaceModel.E1000), False, id="an emulated card on a tap"),
        pytest.param(_with_card(InterfaceBackend.PASST), False, id="passt"),
        pytest.param(_with_card(InterfaceBackend.SLIRP), False, id="user networking"),
    ],
)
def test_cpus_for_vhost_are_without_effect_where_it_serves_nothing(guest: Guest, *, served: bool) -> None:
    assert uses_vhost(guest) == served
    told = [notice for notice in notices_of(guest) if "vhost" in notice]
    assert bool(told) != served


@pytest.mark.parametrize(
    ("release", "told"),
    [("6.1.0-56-cloud-amd64", True), ("6.3.99", True), ("6.4.0", False), ("6.12.30+deb13", False), ("5.14", True)],
)
def test_before_linux_6_4_they_are_out_of_reach_and_that_is_said(release: str, *, told: bool) -> None:
    said = out_of_reach(PLAIN, release)
    assert (said is not None) == told
    assert said is None or "has vhost's workers as kernel threads, out of a container's reach" in said
    assert out_of_reach(replace(PLAIN, cpu=replace(PLAIN.cpu, vhost_cpus=0)), release) is None


def test_a_release_that_is_none_says_nothing() -> None:
    assert out_of_reach(PLAIN, "rolling") is None
