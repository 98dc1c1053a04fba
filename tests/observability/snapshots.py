"""Snapshots as a supervisor would publish them, and a process whose threads they name."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.planner.model import IOThreadPin, Pinning, Proof, VCPUPin
from launcher.supervise.drift import Drift, drifts
from launcher.supervise.lifecycle import Phase
from launcher.supervise.memory_map import Share, Whereabouts
from launcher.supervise.roles import ObservedThread, ThreadKind, classify
from launcher.supervise.snapshot import Count, Exclusivity, Snapshot, StartUpPhase

# 31 January 2026, 10:00:00 UTC.
TEN_O_CLOCK = 1769853600.0
MAIN = 4711


def pinning_of(vcpus: str = "1,5", emulator: str = "3", iothreads: tuple[str, ...] = ("3",)) -> Pinning:
    """Pin vCPU 0, 1, ... to these CPUs in turn."""
    pins = tuple(
        VCPUPin(vcpu=vcpu, cpu=int(cpu), core=int(cpu), socket=0, node=0) for vcpu, cpu in enumerate(vcpus.split(","))
    )
    cpuset = CPUSet.parse(f"{vcpus},{emulator}")
    return Pinning(
        cpuset=cpuset,
        source="/sys/fs/cgroup/cpuset.cpus.effective",
        vcpus=pins,
        emulator=CPUSet.parse(emulator),
        iothreads=tuple(IOThreadPin(iothread=n, cpus=CPUSet.parse(cpus)) for n, cpus in enumerate(iothreads, 1)),
        housekeeping=CPUSet.parse(emulator),
        proof=Proof(optimal=True),
    )


def thread(tid: int, name: str, cpus: str) -> ObservedThread:
    """Observe a thread; the first one of the process is the emulator."""
    return ObservedThread(tid=tid, name=name, role=classify(name, main=tid == MAIN), cpus=CPUSet.parse(cpus))


THREADS = (
    thread(MAIN, "qemu-system-x86", "3"),
    thread(4712, "call_rcu", "3"),
    thread(4715, "IO iothread1", "3"),
    thread(4718, "CPU 0/KVM", "1"),
    thread(4719, "CPU 1/KVM", "5"),
)


def lying(node: int | None, on: dict[int, int], *, cell: int | None = None) -> tuple[Whereabouts, ...]:
    """Return a look at memory of 4 KiB pages that belongs on a node and lies so."""
    share = Share(cell=cell, node=node, memory_bytes=1 << 30)
    return (Whereabouts(share=share, page_bytes=4096, bytes_on=tuple(sorted(on.items()))),)


def snapshot(**changes: Any) -> Snapshot:
    """Return the snapshot of a guest that runs as planned, changed so."""
    running = Snapshot(
        namespace="prod",
        name="db",
        uuid="6b2e3b1c-0d3d-4c9e-9c53-1a2b3c4d5e6f",
        pid=MAIN,
        virt_type="kvm",
        phase=Phase.RUNNING,
        phase_since=TEN_O_CLOCK,
        pinning=pinning_of(),
        beat_s=0.0,
        vcpus=2,
        threads=THREADS,
        verified_at=TEN_O_CLOCK + 5,
        drift_counts=(Count(kind=ThreadKind.VCPU, times=3),),
        repair_counts=(Count(kind=ThreadKind.VCPU, times=2),),
        cpuset="1,3,5",
        cpuset_source="/sys/fs/cgroup/cpuset.cpus.effective",
        cpuset_changes=1,
        exclusivity=Exclusivity.PROVEN,
        exclusivity_reason="cpuset partition",
        start_up=(StartUpPhase(name="plan", seconds=0.25), StartUpPhase(name="start", seconds=0.5)),
        memory_bytes=1 << 30,
        memory=lying(0, {0: 512 << 20}),
        memory_look_s=0.015625,
    )
    return replace(running, **changes)


def drifted(**changes: Any) -> Snapshot:
    """Return the snapshot of a guest whose vCPU 1 was moved and whose IOThread is not there."""
    threads = tuple(
        replace(seen, cpus=CPUSet.parse("0-7")) if seen.name == "CPU 1/KVM" else seen
        for seen in THREADS
        if not seen.name.startswith("IO")
    )
    found: tuple[Drift, ...] = drifts(pinning_of(), threads, 2)
    return snapshot(threads=threads, drifts=found, verified_at=None, **changes)
