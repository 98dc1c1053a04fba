"""Which realtime guests leave their own main loop no CPU, by the manifest alone."""

from __future__ import annotations

import pytest

from launcher.vmi.guest import Guest, GuestCPU, GuestMemory, IOThreadDemand, IOThreadsPolicy, Topology
from launcher.vmi.starvation import starvation

_POOL = IOThreadDemand(policy=IOThreadsPolicy.SUPPLEMENTAL_POOL, pool_count=1)


def _guest(realtime: tuple[int, ...] | None, *, isolate: bool = False, io_threads: IOThreadDemand) -> Guest:
    cpu = GuestCPU(
        topology=Topology(cores=2),
        dedicated=True,
        isolate_emulator_thread=isolate,
        realtime_vcpus=None if realtime is None else frozenset(realtime),
    )
    return Guest(name="guest", cpu=cpu, memory=GuestMemory(guest_bytes=1 << 30), io_threads=io_threads)


@pytest.mark.parametrize(
    ("realtime", "isolate", "io_threads", "starves"),
    [
        pytest.param((0, 1), False, IOThreadDemand(), True, id="every vCPU is realtime"),
        pytest.param((1,), False, IOThreadDemand(), False, id="one is not"),
        pytest.param((0, 1), True, IOThreadDemand(), False, id="the emulator has a CPU of its own"),
        pytest.param((0, 1), False, _POOL, False, id="the IOThreads have"),
        pytest.param(None, False, IOThreadDemand(), False, id="none is realtime"),
    ],
)
def test_a_realtime_guest_that_leaves_its_main_loop_no_cpu_is_told_so(
    realtime: tuple[int, ...] | None, isolate: bool, io_threads: IOThreadDemand, starves: bool
) -> None:
    found = starvation(_guest(realtime, isolate=isolate, io_threads=io_threads))
    assert (found is not None) is starves
    assert found is None or "set spec.domain.cpu.isolateEmulatorThread: true" in found
