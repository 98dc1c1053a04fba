"""The ward: what the launcher's own process is told of a guest, and the guest that it has packed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from launcher.cli.manifest_jobs import ward_of
from launcher.vmi.guest import Disk, Guest, GuestCPU, GuestMemory, SerialConsole, Topology
from launcher.vmi.guest_storage import AgentKeys, HostMetrics

PLAIN = Guest(name="demo", cpu=GuestCPU(topology=Topology(cores=2)), memory=GuestMemory(guest_bytes=1 << 26))
KEYS = AgentKeys(secret="a", users=("u",))  # noqa: S106 - a name
_FEATURES = (
    *("is_large", "is_realtime", "wants_rights", "has_devices", "has_tags", "has_credentials"),
    *("wants_figures", "has_probes"),
)


def test_a_plain_guest_has_nothing_for_which_it_is_unpacked() -> None:
    ward = ward_of(PLAIN)
    assert [name for name in _FEATURES if getattr(ward, name)] == []
    assert (ward.domain, ward.machine, ward.vcpus, ward.memory_bytes) == ("default_demo", "q35", 2, 1 << 26)


def test_all_of_the_guest_is_packed() -> None:
    assert ward_of(PLAIN).guest.unpack() == PLAIN


@pytest.mark.parametrize(
    ("guest", "features"),
    [
        pytest.param(
            replace(PLAIN, cpu=replace(PLAIN.cpu, realtime_vcpus=frozenset({0}))),
            ["is_realtime", "wants_rights"],
            id="realtime wants rights",
        ),
        pytest.param(
            replace(PLAIN, cpu=replace(PLAIN.cpu, numa_passthrough=True)), ["wants_rights"], id="cells want rights"
        ),
        pytest.param(
            replace(PLAIN, disks=(Disk(name="a", is_reserved=True),)), ["wants_rights"], id="reservations want rights"
        ),
        pytest.param(
            replace(PLAIN, cpu=replace(PLAIN.cpu, topology=Topology(cores=256))), ["is_large"], id="256 vCPUs are many"
        ),
        pytest.param(replace(PLAIN, credentials=(KEYS,)), ["has_credentials"], id="keys"),
        pytest.param(
            replace(PLAIN, disks=(Disk(name="m", volume=HostMetrics()),)), ["wants_figures"], id="a disk of figures"
        ),
        pytest.param(replace(PLAIN, has_metrics_port=True), ["wants_figures"], id="a port for figures"),
    ],
)
def test_what_few_guests_have_is_told(guest: Guest, features: list[str]) -> None:
    ward = ward_of(guest)
    assert [name for name in _FEATURES if getattr(ward, name)] == features


def test_a_console_that_is_not_logged_is_told() -> None:
    ward = ward_of(replace(PLAIN, serial=SerialConsole(logged=False)))
    assert (ward.is_console_attached, ward.is_console_logged) == (True, False)
