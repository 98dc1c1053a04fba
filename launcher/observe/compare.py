"""The comparison of plan, configuration and kernel, thread by thread, for any domain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.domain.read import ConfiguredPins
from launcher.observe.columns import aligned
from launcher.observe.text import Ink, counted, painted, printable
from launcher.planner.model import Pinning
from launcher.supervise.drift import required_threads
from launcher.supervise.roles import ObservedThread, Role, ThreadKind

_EMULATOR = Role(kind=ThreadKind.EMULATOR)


class Verdict(StrEnum):
    """What the comparison of one thread says; capitals where something differs."""

    VERIFIED = "verified"
    OPEN = "not pinned"
    DRIFTED = "DRIFTED"
    CONFIGURED_OTHERWISE = "CONFIGURED OTHERWISE"
    MISSING = "MISSING"


class Comparison(Struct, frozen=True, kw_only=True):
    """One thread's CPUs: as planned, as configured, and as the kernel has them.

    None: no plan; not configured; no such thread.
    """

    tid: int | None
    name: str
    role: Role
    planned: CPUSet | None
    configured: CPUSet | None
    actual: CPUSet | None

    @property
    def verdict(self) -> Verdict:
        """What is wrong, the kernel's word before the configuration's."""
        wanted = self.configured if self.planned is None else self.planned
        if self.actual is None:
            return Verdict.MISSING
        if wanted is None:
            return Verdict.OPEN
        if self.actual != wanted:
            return Verdict.DRIFTED
        return Verdict.VERIFIED if self.configured in (None, wanted) else Verdict.CONFIGURED_OTHERWISE

    @property
    def differs(self) -> bool:
        """Tell whether something is not as it should be."""
        return self.verdict not in (Verdict.VERIFIED, Verdict.OPEN)


def compare(
    plan: Pinning | None, configured: ConfiguredPins | None, observed: Iterable[ObservedThread], *, vcpus: int
) -> tuple[Comparison, ...]:
    """Compare every thread that is there, ascending by thread id, then those that are not there and should be.

    `vcpus` is the number that the guest has. Every other thread of QEMU belongs with the emulator.
    """
    planned = {} if plan is None else dict(required_threads(plan, vcpus))
    pins = {} if configured is None else _configured(configured)
    threads = tuple(observed)
    present = {thread.role for thread in threads}
    missing = sorted({*planned, *pins} - present)
    if plan is not None and plan.vhost:
        planned[Role(kind=ThreadKind.VHOST)] = plan.vhost
    return (
        *(_compare(thread.role, planned, pins, thread) for thread in threads),
        *(_compare(role, planned, pins, None) for role in missing),
    )


def _configured(configured: ConfiguredPins) -> dict[Role, CPUSet | None]:
    return {
        _EMULATOR: configured.emulator,
        **{Role(kind=ThreadKind.VCPU, number=number): cpus for number, cpus in configured.vcpus},
        **{Role(kind=ThreadKind.IOTHREAD, number=number): cpus for number, cpus in configured.iothreads},
    }


def _compare(
    role: Role, planned: Mapping[Role, CPUSet], pins: Mapping[Role, CPUSet | None], thread: ObservedThread | None
) -> Comparison:
    return Comparison(
        tid=None if thread is None else thread.tid,
        name="" if thread is None else thread.name,
        role=role,
        planned=planned.get(role, planned.get(_EMULATOR)),
        # libvirt has no pin of vhost's threads.
        configured=None if role in planned and role.kind is ThreadKind.VHOST else pins.get(role, pins.get(_EMULATOR)),
        actual=None if thread is None else thread.cpus,
    )


def comparison_text(comparisons: tuple[Comparison, ...], *, width: int = 80, colour: bool) -> str:
    """Return the comparison as a table in lines of at most `width` columns, ending in a newline."""
    rows = [(_cells(one), Ink.BAD if one.differs else Ink.PLAIN) for one in comparisons]
    heading = ("tid", "thread", "role", "planned", "configured", "actual", "verdict")
    verdicts = [one.verdict for one in comparisons]
    told = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in Verdict if verdict in verdicts)
    is_bad = any(one.differs for one in comparisons)
    total = painted(f"{counted(len(comparisons), 'thread')}: {told}", Ink.BAD if is_bad else Ink.GOOD, colour=colour)
    return "\n".join([*aligned(heading, rows, width, colour=colour), "", total]) + "\n"


def _cells(one: Comparison) -> tuple[str, ...]:
    sets = ("-" if cpus is None else str(cpus) for cpus in (one.planned, one.configured, one.actual))
    return ("-" if one.tid is None else str(one.tid), printable(one.name), str(one.role), *sets, one.verdict)
