"""Whether a realtime guest leaves its own main loop a CPU to run on, as far as the manifest alone decides that."""

from __future__ import annotations

from launcher.vmi.guest import Guest, IOThreadsPolicy


def starvation(guest: Guest) -> str | None:
    """Say that every CPU which the guest asks for carries a SCHED_FIFO vCPU; None where one does not."""
    cpu = guest.cpu
    has_own = cpu.isolate_emulator_thread or guest.io_threads.policy is IOThreadsPolicy.SUPPLEMENTAL_POOL
    if has_own or cpu.realtime_vcpus != frozenset(range(cpu.topology.vcpus)):
        return None
    return (
        "realtime: every CPU that the guest asks for carries a SCHED_FIFO vCPU, so that QEMU's main loop and the "
        "launcher may never run: set spec.domain.cpu.isolateEmulatorThread: true, or leave a vCPU out of "
        "spec.domain.cpu.realtime.mask"
    )
