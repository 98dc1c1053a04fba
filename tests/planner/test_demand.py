"""The CPUs that a guest needs, and what for."""

from __future__ import annotations

import pytest

from launcher.planner.demand import CPUDemand, cpu_demand
from launcher.vmi.guest import Guest, IOThreadsPolicy
from tests.planner.guests import a_guest

_POOL = IOThreadsPolicy.SUPPLEMENTAL_POOL


@pytest.mark.parametrize(
    ("guest", "demand"),
    [
        pytest.param(a_guest(2, 2, 2), CPUDemand(vcpus=8), id="vCPUs only"),
        pytest.param(a_guest(1, 4, isolate=True), CPUDemand(vcpus=4, emulator=1), id="an isolated emulator has one"),
        pytest.param(
            a_guest(1, 4, isolate=True, parity=True), CPUDemand(vcpus=4, emulator=2), id="two where vCPUs are even"
        ),
        pytest.param(
            a_guest(1, 3, isolate=True, parity=True), CPUDemand(vcpus=3, emulator=1), id="one where vCPUs are odd"
        ),
        pytest.param(
            a_guest(1, 3, isolate=True, parity=True, policy=_POOL, pool=1),
            CPUDemand(vcpus=3, emulator=2, pool_iothreads=1),
            id="the pool counts for parity",
        ),
        pytest.param(a_guest(1, 4, parity=True), CPUDemand(vcpus=4), id="parity alone isolates nothing"),
        pytest.param(
            a_guest(1, 4, policy=_POOL, pool=2), CPUDemand(vcpus=4, pool_iothreads=2), id="a pool without isolation"
        ),
        pytest.param(
            a_guest(1, 4, policy=IOThreadsPolicy.AUTO, pool=2), CPUDemand(vcpus=4), id="only a pool has CPUs of its own"
        ),
        pytest.param(a_guest(1, 4, isolate=True, dedicated=False), CPUDemand(vcpus=4), id="nothing without dedication"),
    ],
)
def test_demand_counts_every_exclusive_cpu(guest: Guest, demand: CPUDemand) -> None:
    assert cpu_demand(guest) == demand


def test_demand_says_what_the_cpus_are_for() -> None:
    demand = CPUDemand(vcpus=4, emulator=1, pool_iothreads=2)
    assert str(demand) == "4 vCPUs + 1 for the emulator + 2 for IOThreads"
    assert (demand.housekeeping, demand.total) == (3, 7)
