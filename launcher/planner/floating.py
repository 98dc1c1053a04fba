"""Where threads without a CPU of their own run: never behind a realtime vCPU, and on isolated CPUs one each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from launcher.cpuset import CPUSet
from launcher.host.model import CPU, ISOLATED, NOHZ_FULL, AllowedCPUs, Host
from launcher.planner.model import Pinning
from launcher.vmi.guest import Guest, GuestCPU

_ISOLATE = "spec.domain.cpu.isolateEmulatorThread: true"
_DEDICATE = "spec.domain.cpu.dedicatedCpuPlacement: true"


def quiet_ones(cpus: Sequence[CPU], quiet: CPUSet, vcpus: int) -> list[CPU]:
    """Return the quiet CPUs among these where they are some of them, not all, and enough; else none."""
    found = [cpu for cpu in cpus if cpu.cpu in quiet]
    return found if vcpus <= len(found) < len(cpus) else []


def fifo_cpus(guest: GuestCPU, cpus: Iterable[int]) -> CPUSet:
    """Return those of the vCPUs' CPUs that carry a realtime vCPU (SCHED_FIFO)."""
    realtime = guest.realtime_vcpus or frozenset()
    return CPUSet.of(cpu for vcpu, cpu in zip(guest.placed_vcpus, cpus, strict=True) if vcpu in realtime)


def berths(cpus: CPUSet, fifo: CPUSet, quiet: CPUSet, *, last_first: bool = False) -> tuple[CPUSet, ...]:
    """Return the places of floating threads among these CPUs: together where they can float, else one CPU each.

    CPUs whose vCPU is realtime, and quiet ones, are left out as long as there are others: between isolated CPUs the
    scheduler moves no thread, it stays where it was born, and a nohz_full CPU has its tick back as soon as two threads
    share it.
    """
    open_cpus = (cpus - fifo) or cpus
    balanced = open_cpus - quiet
    if balanced or len(open_cpus) == 1:
        return (balanced or open_cpus,)
    single = tuple(CPUSet.of((cpu,)) for cpu in open_cpus)
    return single[::-1] if last_first else single


def starving(guest: Guest, pinning: Pinning) -> Iterator[str]:
    """Warn of threads that every CPU of theirs may leave waiting for ever: a SCHED_FIFO vCPU that is busy never yields.

    The kernel's throttling (sched_rt_runtime_us) leaves them a twentieth of the time, where it is on.
    """
    realtime = guest.cpu.realtime_vcpus or frozenset()
    fifo = fifo_cpus(guest.cpu, (pin.cpu for pin in pinning.vcpus))
    if not fifo:
        return
    threads = ["QEMU's main loop"] if pinning.emulator <= fifo else []
    threads += [f"IOThread {pin.iothread}" for pin in pinning.iothreads if pin.cpus <= fifo]
    threads += ["the launcher"] if pinning.launcher <= fifo else []
    if threads:
        listed = f"{', '.join(threads[:-1])} and {threads[-1]}" if len(threads) > 1 else threads[0]
        yield (
            f"every CPU of the cpuset that is left to them ({pinning.emulator}) carries a SCHED_FIFO vCPU, so that "
            f"{listed} may never run: set {_ISOLATE}, or leave a vCPU out of spec.domain.cpu.realtime.mask"
        )
    for pin in pinning.vcpus:
        fellow = next(
            (o for o in pinning.vcpus if o.cpu == pin.cpu and o.vcpu != pin.vcpu and o.vcpu in realtime), None
        )
        if fellow is not None:
            yield f"vCPU {pin.vcpu} may never run: it shares CPU {pin.cpu} with vCPU {fellow.vcpu}, which is SCHED_FIFO"


def stuck(guest: Guest, cpuset: CPUSet, host: Host, allowed: AllowedCPUs) -> Iterator[str]:
    """Warn where a guest without dedicated CPUs floats on CPUs between which no thread is moved."""
    bounds = allowed.bounds
    isolated = (host.isolated | bounds.isolated) & cpuset
    source = ISOLATED if host.isolated & cpuset else bounds.isolated_source
    vcpus = guest.cpu.topology.vcpus
    if len(isolated) > 1 and isolated == cpuset:
        yield (
            f"the CPUs {isolated} are isolated ({source}): the kernel never moves threads between them, so that all "
            f"{vcpus} vCPUs may run on one: set {_DEDICATE}"
        )
    elif isolated and isolated != cpuset:
        yield (
            f"the CPUs {isolated} of the cpuset {cpuset} are isolated ({source}): a thread that starts on one never "
            f"leaves it, and none is put there: set {_DEDICATE}, or give the container CPUs that are not isolated"
        )
    elif host.nohz_full & cpuset:
        yield (
            f"the CPUs {host.nohz_full & cpuset} are nohz_full ({NOHZ_FULL}): as soon as two threads share one it has "
            f"its tick back: set {_DEDICATE}, or give the container other CPUs"
        )


def unquiet(vcpus: Sequence[CPU], own: Sequence[CPU], quiet: CPUSet, ids: Sequence[int]) -> Iterator[str]:
    """Warn of dedicated vCPUs on CPUs that are not isolated, where the cpuset has isolated ones, but too few."""
    loud = CPUSet.of(vcpu for vcpu, cpu in zip(ids, vcpus, strict=True) if cpu.cpu not in quiet)
    isolated = CPUSet.of(cpu.cpu for cpu in own) & quiet
    if loud and isolated:
        yield (
            f"{len(loud)} of {len(vcpus)} vCPUs ({loud}) run on CPUs that are not isolated, for of the cpuset only "
            f"{isolated} are: give the container {len(vcpus)} isolated CPUs, or none"
        )


def beside_vcpus(pinning: Pinning, quiet: CPUSet) -> Iterator[str]:
    """Warn where QEMU's own threads stay on the CPU of one vCPU: all CPUs are isolated and none is left over."""
    carried = [pin for pin in pinning.vcpus if CPUSet.of((pin.cpu,)) == pinning.emulator]
    if carried and len(pinning.vcpus) > 1 and pinning.emulator <= quiet and not pinning.degraded:
        yield (
            f"QEMU's main loop stays on CPU {pinning.emulator}, beside vCPU {carried[0].vcpu}: all CPUs of the cpuset "
            f"that it may use are isolated and none is left over: set {_ISOLATE}"
        )
