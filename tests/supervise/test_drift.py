"""Drift: what differs between plan and kernel, and what puts it right."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.planner.model import IOThreadPin, Pinning, SharedPin, VCPUPin
from launcher.supervise.drift import Drift, Repair, drifts, repairs
from launcher.supervise.roles import ObservedThread, Role, ThreadKind, classify


def _cpus(text: str) -> CPUSet:
    return CPUSet.parse(text)


def _pin(vcpu: int, cpu: int) -> VCPUPin:
    return VCPUPin(vcpu=vcpu, cpu=cpu, core=cpu, socket=0, node=0)


PINNED = Pinning(
    cpuset=_cpus("2-5"),
    source="test",
    vcpus=(_pin(0, 2), _pin(1, 3)),
    emulator=_cpus("4"),
    iothreads=(IOThreadPin(iothread=1, cpus=_cpus("5")),),
)
FLOATING = Pinning(cpuset=_cpus("2-5"), source="test", vcpus=(), emulator=_cpus("2-5"))

EMULATOR, WORKER = Role(kind=ThreadKind.EMULATOR), Role(kind=ThreadKind.WORKER)
VHOST = Role(kind=ThreadKind.VHOST)
VCPU0, VCPU1 = Role(kind=ThreadKind.VCPU, number=0), Role(kind=ThreadKind.VCPU, number=1)
IOTHREAD1 = Role(kind=ThreadKind.IOTHREAD, number=1)

NAMES = {
    EMULATOR: "qemu-system-x86",
    WORKER: "call_rcu",
    VHOST: "vhost-4711",
    VCPU0: "CPU 0/TCG",
    VCPU1: "CPU 1/KVM",
    IOTHREAD1: "IO iothread1",
}


def _threads(*places: tuple[Role, str]) -> tuple[ObservedThread, ...]:
    return tuple(
        ObservedThread(tid=100 + index, name=NAMES[role], role=role, cpus=_cpus(cpus))
        for index, (role, cpus) in enumerate(places)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A plan, threads, and the drifts wanted: role, planned and actual CPUs (None: no such thread)."""

    id: str
    pinning: Pinning
    threads: tuple[ObservedThread, ...]
    wanted: tuple[tuple[Role, str, str | None], ...]


ROWS = (
    Row(
        id="all threads where they were planned is no drift",
        pinning=PINNED,
        threads=_threads((EMULATOR, "4"), (WORKER, "4"), (IOTHREAD1, "5"), (VCPU0, "2"), (VCPU1, "3")),
        wanted=(),
    ),
    Row(
        id="a vCPU that may run on a second CPU has drifted",
        pinning=PINNED,
        threads=_threads((EMULATOR, "4"), (IOTHREAD1, "5"), (VCPU0, "2-3"), (VCPU1, "3")),
        wanted=((VCPU0, "2", "2-3"),),
    ),
    Row(
        id="a worker belongs on the emulator's CPUs",
        pinning=PINNED,
        threads=_threads((EMULATOR, "4"), (WORKER, "2"), (IOTHREAD1, "5"), (VCPU0, "2"), (VCPU1, "3")),
        wanted=((WORKER, "4", "2"),),
    ),
    Row(
        id="vhost belongs on the emulator's CPUs where none are reserved for it",
        pinning=PINNED,
        threads=_threads((EMULATOR, "4"), (VHOST, "2"), (IOTHREAD1, "5"), (VCPU0, "2"), (VCPU1, "3")),
        wanted=((VHOST, "4", "2"),),
    ),
    Row(
        id="vhost belongs on the CPUs reserved for it, and need not be there",
        pinning=replace(PINNED, vhost=CPUSet.parse("6-7")),
        threads=_threads((EMULATOR, "4"), (VHOST, "6-7"), (VHOST, "4"), (IOTHREAD1, "5"), (VCPU0, "2"), (VCPU1, "3")),
        wanted=((VHOST, "6-7", "4"),),
    ),
    Row(
        id="a vCPU that shares belongs where it shares, not on another's CPU",
        pinning=replace(PINNED, vcpus=PINNED.vcpus[:1], shared=(SharedPin(vcpu=1, cpus=CPUSet.parse("3-4")),)),
        threads=_threads((EMULATOR, "4"), (IOTHREAD1, "5"), (VCPU0, "2"), (VCPU1, "2-4")),
        wanted=((VCPU1, "3-4", "2-4"),),
    ),
    Row(
        id="a vCPU that shares and has no thread cannot be proved",
        pinning=replace(PINNED, vcpus=PINNED.vcpus[:1], shared=(SharedPin(vcpu=1, cpus=CPUSet.parse("3-4")),)),
        threads=_threads((EMULATOR, "4"), (IOTHREAD1, "5"), (VCPU0, "2")),
        wanted=((VCPU1, "3-4", None),),
    ),
    Row(
        id="a vCPU and an IOThread without a thread cannot be proved",
        pinning=PINNED,
        threads=_threads((EMULATOR, "4"), (VCPU0, "2")),
        wanted=((VCPU1, "3", None), (IOTHREAD1, "5", None)),
    ),
    Row(
        id="no thread at all proves nothing",
        pinning=PINNED,
        threads=(),
        wanted=((EMULATOR, "4", None), (VCPU0, "2", None), (VCPU1, "3", None), (IOTHREAD1, "5", None)),
    ),
    Row(
        id="an unpinned guest's vCPUs may use the whole cpuset",
        pinning=FLOATING,
        threads=_threads((EMULATOR, "2-5"), (VCPU0, "2-5"), (VCPU1, "2-5")),
        wanted=(),
    ),
    Row(
        id="an unpinned guest's vCPU outside the cpuset has drifted",
        pinning=FLOATING,
        threads=_threads((EMULATOR, "2-5"), (VCPU0, "0-7"), (VCPU1, "2-5")),
        wanted=((VCPU0, "2-5", "0-7"),),
    ),
    Row(
        id="an IOThread that nobody planned belongs on the emulator's CPUs",
        pinning=FLOATING,
        threads=_threads((EMULATOR, "2-5"), (VCPU0, "2-5"), (VCPU1, "2-5"), (IOTHREAD1, "9")),
        wanted=((IOTHREAD1, "2-5", "9"),),
    ),
)


def _summary(found: tuple[Drift, ...]) -> tuple[tuple[Role, str, str | None], ...]:
    return tuple(
        (drift.role, str(drift.planned), None if drift.actual is None else str(drift.actual)) for drift in found
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_drifts_are_what_differs_between_plan_and_kernel(row: Row) -> None:
    assert _summary(drifts(row.pinning, row.threads, vcpus=2)) == row.wanted


def test_each_misplaced_thread_gets_one_repair_and_a_missing_one_none() -> None:
    threads = _threads((EMULATOR, "4"), (IOTHREAD1, "4-5"), (VCPU0, "3"))
    assert repairs(drifts(PINNED, threads, vcpus=2)) == (
        Repair(role=IOTHREAD1, tid=101, cpus=_cpus("5")),
        Repair(role=VCPU0, tid=102, cpus=_cpus("2")),
    )


def test_a_drift_says_thread_plan_and_fact() -> None:
    found = drifts(PINNED, _threads((EMULATOR, "4"), (IOTHREAD1, "5"), (VCPU0, "3")), vcpus=2)
    assert [str(drift) for drift in found] == [
        "vcpu 0 (thread 102, 'CPU 0/TCG'): planned CPU 2, actual CPU 3",
        "vcpu 1: QEMU has no such thread, planned on CPU 3",
    ]


@pytest.mark.parametrize(
    ("name", "main", "wanted"),
    [
        ("CPU 0/KVM", False, VCPU0),
        ("CPU 1/TCG", False, VCPU1),
        ("CPU 1023/KVM", False, Role(kind=ThreadKind.VCPU, number=1023)),
        ("IO iothread1", False, IOTHREAD1),
        ("IO iothread12", False, Role(kind=ThreadKind.IOTHREAD, number=12)),
        ("IO mon_iothread", False, WORKER),
        ("call_rcu", False, WORKER),
        ("worker", False, WORKER),
        ("kvm-nx-lpage-re", False, WORKER),
        ("vhost-4711", False, VHOST),
        ("vhost-", False, WORKER),
        ("vhost-4711x", False, WORKER),
        ("CPU 0/KVM but not", False, WORKER),
        ("CPU ²/KVM", False, WORKER),
        ("qemu-system-x86", True, EMULATOR),
        ("CPU 0/KVM", True, EMULATOR),
    ],
)
def test_a_thread_is_recognised_by_its_kernel_name(name: str, main: bool, wanted: Role) -> None:
    assert classify(name, main=main) == wanted
