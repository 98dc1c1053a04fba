"""Which guests need more than eight bits of APIC ids, and what is said where nothing tells yet how they will run."""

from __future__ import annotations

import pytest

from launcher.vmi.apic import wide_ids_in_words
from launcher.vmi.guest import Guest, GuestCPU, GuestMemory, Topology


def _guest(sockets: int, cores: int, threads: int, arch: str = "x86_64") -> Guest:
    cpu = GuestCPU(topology=Topology(sockets=sockets, cores=cores, threads=threads))
    return Guest(name="g", arch=arch, cpu=cpu, memory=GuestMemory(guest_bytes=1 << 30))


@pytest.mark.parametrize(
    ("guest", "is_emulated", "words"),
    [
        pytest.param(_guest(1, 255, 1), None, None, id="255 vCPUs"),
        pytest.param(_guest(1, 300, 1, "aarch64"), None, None, id="another architecture"),
        pytest.param(_guest(1, 300, 1), False, None, id="with KVM"),
        pytest.param(
            _guest(1, 300, 1),
            None,
            "spec.domain.cpu: 300 vCPUs (sockets 1 x cores 300 x threads 1) run with KVM alone",
            id="nobody knows yet",
        ),
        pytest.param(
            _guest(3, 3, 20),
            None,
            "spec.domain.cpu: 180 vCPUs with APIC ids up to 339 (sockets 3 x cores 3 x threads 20) run with KVM alone",
            id="few vCPUs with wide ids",
        ),
        pytest.param(
            _guest(2, 128, 1),
            True,
            "spec.domain.cpu: 256 vCPUs (sockets 2 x cores 128 x threads 1); emulated ones are 255 at most",
            id="emulated",
        ),
    ],
)
def test_what_so_many_vcpus_depend_on_is_told(guest: Guest, is_emulated: bool | None, words: str | None) -> None:
    found = wide_ids_in_words(guest, is_emulated=is_emulated)
    assert found is None if words is None else (found or "").startswith(words)
