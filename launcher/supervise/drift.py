"""The comparison of plan and kernel: which threads run elsewhere than planned, and what puts each right."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.planner.model import Pinning
from launcher.supervise.roles import ObservedThread, Role, ThreadKind


class Drift(Struct, frozen=True, kw_only=True):
    """One thread whose affinity is not what was planned; `actual` is None where the thread is not there at all."""

    role: Role
    tid: int | None
    name: str
    planned: CPUSet
    actual: CPUSet | None

    def __str__(self) -> str:
        if self.actual is None:
            return f"{self.role}: QEMU has no such thread, planned on CPU {self.planned}"
        return f"{self.role} (thread {self.tid}, {self.name!r}): planned CPU {self.planned}, actual CPU {self.actual}"


class Repair(Struct, frozen=True, kw_only=True):
    """One correction: these CPUs for this thread."""

    role: Role
    tid: int
    cpus: CPUSet


def required_threads(pinning: Pinning, vcpus: int) -> Mapping[Role, CPUSet]:
    """Return the CPUs planned for each thread that must be there: the emulator, every vCPU and every IOThread.

    Where every other thread of QEMU belongs says `planned_cpus`.
    """
    pinned = {pin.vcpu: CPUSet.of((pin.cpu,)) for pin in pinning.vcpus}
    pinned |= {pin.vcpu: pin.cpus for pin in pinning.shared}
    planned = {Role(kind=ThreadKind.EMULATOR): pinning.emulator}
    for vcpu in range(vcpus):
        planned[Role(kind=ThreadKind.VCPU, number=vcpu)] = pinned.get(vcpu, pinning.cpuset)
    for pin in pinning.iothreads:
        planned[Role(kind=ThreadKind.IOTHREAD, number=pin.iothread)] = pin.cpus
    return planned


def planned_cpus(role: Role, pinning: Pinning, required: Mapping[Role, CPUSet]) -> CPUSet:
    """Return where a thread belongs: as required, vhost's on CPUs reserved for them, else with the emulator."""
    if role.kind is ThreadKind.VHOST and pinning.vhost:
        return pinning.vhost
    return required.get(role, pinning.emulator)


def drifts(pinning: Pinning, observed: tuple[ObservedThread, ...], vcpus: int) -> tuple[Drift, ...]:
    """Return what differs between the plan and the kernel, misplaced threads first; empty means verified.

    `vcpus` is the number that the guest has: a vCPU or IOThread without a thread is a drift, too, for what is not
    there cannot be proved.
    """
    required = required_threads(pinning, vcpus)
    return _misplaced(required, pinning, observed) + _missing(required, observed)


def _misplaced(
    required: Mapping[Role, CPUSet], pinning: Pinning, observed: tuple[ObservedThread, ...]
) -> tuple[Drift, ...]:
    planned = ((thread, planned_cpus(thread.role, pinning, required)) for thread in observed)
    return tuple(
        Drift(role=thread.role, tid=thread.tid, name=thread.name, planned=cpus, actual=thread.cpus)
        for thread, cpus in planned
        if thread.cpus != cpus
    )


def _missing(required: Mapping[Role, CPUSet], observed: tuple[ObservedThread, ...]) -> tuple[Drift, ...]:
    present = {thread.role for thread in observed}
    return tuple(
        Drift(role=role, tid=None, name="", planned=cpus, actual=None)
        for role, cpus in required.items()
        if role not in present
    )


class Move(Struct, frozen=True, kw_only=True):
    """One role whose CPUs are others in a new plan."""

    role: Role
    cpus: CPUSet


def moves(before: Pinning, after: Pinning, vcpus: int) -> tuple[Move, ...]:
    """Return what changes from one plan to the next: the emulator, then vCPUs, then IOThreads, ascending."""
    old = required_threads(before, vcpus)
    new = required_threads(after, vcpus)
    return tuple(Move(role=role, cpus=cpus) for role, cpus in new.items() if old.get(role) != cpus)


def repairs(found: tuple[Drift, ...]) -> tuple[Repair, ...]:
    """Return one correction for every misplaced thread; a thread that is not there cannot be corrected."""
    return tuple(Repair(role=drift.role, tid=drift.tid, cpus=drift.planned) for drift in found if drift.tid is not None)
