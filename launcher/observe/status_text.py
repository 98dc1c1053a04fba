"""The status for people: what is so, which thread waits for a CPU, and who disturbs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from launcher.observe.columns import aligned
from launcher.observe.strangers import Stranger
from launcher.observe.text import Ink, counted, painted, printable, wrapped
from launcher.observe.view import ConditionView, StatusView, ThreadView

_LABEL = 10
# The conditions that are bad when they are true; the others are bad when they are false.
_BAD_IF_TRUE = ("Paused",)
# A thread that waits more than this part of the time is told by colour: a vCPU alone on its CPU waits for nothing.
_NOTABLE_WAIT = 0.01
_MOST_STRANGERS = 10


class Change(Struct, frozen=True, kw_only=True):
    """What happened between two looks, so many seconds apart: the threads before, and who ran on the vCPUs' CPUs."""

    seconds: float
    before: StatusView
    strangers: tuple[Stranger, ...] = ()
    # False where there were more threads than one looks at.
    is_whole: bool = True


class _Rates(Struct, frozen=True, kw_only=True):
    """The parts of the time, 0 to 1, that a thread ran and waited; None where they are not known."""

    ran: float | None = None
    waited: float | None = None


def status_text(
    status: StatusView, *, width: int = 80, colour: bool, change: Change | None = None, most_threads: int | None = None
) -> str:
    """Return the status in lines of at most `width` columns, ending in a newline.

    With a change the threads are shown with the parts of the time that they ran and waited, those that waited longest
    first. Of more than `most_threads` the first are shown.
    """
    lines = [
        *_head(status, width),
        *_conditions(status.conditions, width, colour=colour),
        "",
        *_threads(status, width, colour=colour, change=change, most=most_threads),
        *_missing(status, colour=colour),
        *(_strangers(change, width, colour=colour) if change else ()),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _head(status: StatusView, width: int) -> Iterator[str]:
    if status.name:
        guest = f"{status.namespace}/{status.name}, {status.virt_type}, UUID {status.uuid}, QEMU's pid {status.pid}"
        yield from _labelled("guest", guest, width)
    since = f" since {status.phase_since}" if status.phase_since else ""
    yield from _labelled("phase", f"{status.phase}{since}", width)
    if status.cpuset is not None:
        cpuset = status.cpuset
        changes = f", {counted(cpuset.changes, 'change')}" if cpuset.changes else ""
        yield from _labelled(
            "cpuset", f"{cpuset.cpus}, read from {cpuset.source}{changes}, {cpuset.exclusivity}", width
        )
        if cpuset.resized:
            yield from _labelled("resized", cpuset.resized, width)
    if any(status.drifts.values()):
        told = f"{sum(status.drifts.values())} found, {sum(status.repairs.values())} repaired"
        yield from _labelled("drifts", told, width)


def _labelled(label: str, text: str, width: int, ink: Ink = Ink.PLAIN, *, colour: bool = False) -> Iterator[str]:
    for number, line in enumerate(wrapped(printable(text).split(), width - _LABEL)):
        yield painted(f"{'' if number else label:<{_LABEL}}{line}", ink, colour=colour)


def _conditions(conditions: Iterable[ConditionView], width: int, *, colour: bool) -> Iterator[str]:
    for condition in conditions:
        text = f"{condition.status:<8}{condition.reason}: {condition.message}"
        lines = wrapped(printable(text).split(" "), width - 18)
        for number, line in enumerate(lines):
            yield painted(f"{'' if number else condition.type:<18}{line}", _ink(condition), colour=colour)


def _ink(condition: ConditionView) -> Ink:
    if condition.status == "Unknown":
        return Ink.FAINT
    is_bad = (condition.status == "True") is (condition.type in _BAD_IF_TRUE)
    return Ink.PLAIN if not is_bad else Ink.WARNING


def _threads(status: StatusView, width: int, *, colour: bool, change: Change | None, most: int | None) -> Iterator[str]:
    if not status.threads:
        return
    rates = _rates(status, change)
    threads = sorted(status.threads, key=lambda thread: _urgency(thread, rates)) if change else status.threads
    shown = threads[:most]
    heading = (
        "tid",
        "thread",
        "role",
        "planned",
        "actual",
        "last",
        *(("runs", "waits") if change else ("ran", "waited")),
    )
    rows = [(_cells(thread, rates.get(thread.tid) if change else None), _thread_ink(thread, rates)) for thread in shown]
    yield from aligned(heading, rows, width, colour=colour)
    if len(shown) < len(threads):
        yield f"... and {counted(len(threads) - len(shown), 'more thread')}"
    drifted = sum(not thread.is_verified for thread in threads)
    total = f"{counted(len(threads), 'thread')}: {len(threads) - drifted} verified" + f", {drifted} DRIFTED" * bool(
        drifted
    )
    yield painted(total, Ink.BAD if drifted else Ink.GOOD, colour=colour)


def _rates(status: StatusView, change: Change | None) -> Mapping[int, _Rates]:
    if change is None or change.seconds <= 0:
        return {}
    before = {thread.tid: thread for thread in change.before.threads}
    return {thread.tid: _rate(before.get(thread.tid), thread, change.seconds) for thread in status.threads}


def _rate(before: ThreadView | None, now: ThreadView, seconds: float) -> _Rates:
    if before is None:
        return _Rates()
    return _Rates(
        ran=_part(before.ran_seconds, now.ran_seconds, seconds),
        waited=_part(before.waited_seconds, now.waited_seconds, seconds),
    )


def _part(before: float | None, now: float | None, seconds: float) -> float | None:
    return None if before is None or now is None else max(now - before, 0.0) / seconds


def _urgency(thread: ThreadView, rates: Mapping[int, _Rates]) -> tuple[bool, float, int]:
    """Order the drifted first, then who waits longest, to the percent: else idle threads would dance."""
    waited = rates.get(thread.tid, _Rates()).waited or 0.0
    return thread.is_verified, -round(waited, 2), thread.tid


def _thread_ink(thread: ThreadView, rates: Mapping[int, _Rates]) -> Ink:
    if not thread.is_verified:
        return Ink.BAD
    waited = rates.get(thread.tid, _Rates()).waited or 0.0
    is_alone = thread.role.startswith("vcpu") and not thread.shared
    return Ink.WARNING if waited > _NOTABLE_WAIT and is_alone else Ink.PLAIN


def _cells(thread: ThreadView, rates: _Rates | None) -> tuple[str, ...]:
    times = (
        (_seconds(thread.ran_seconds), _seconds(thread.waited_seconds))
        if rates is None
        else (_percent(rates.ran), _percent(rates.waited))
    )
    last = "-" if thread.last_cpu is None else str(thread.last_cpu)
    role = f"{thread.role}, shared" if thread.shared else thread.role
    texts = map(printable, (thread.name, role, thread.planned, thread.actual))
    return (str(thread.tid), *texts, last, *times)


def _missing(status: StatusView, *, colour: bool) -> Iterator[str]:
    for role in status.missing_threads:
        yield painted(f"{printable(role)}: QEMU has no such thread", Ink.BAD, colour=colour)


def _strangers(change: Change, width: int, *, colour: bool) -> Iterator[str]:
    yield ""
    limit = "" if change.is_whole else " (not all threads of this machine were looked at)"
    if not change.strangers:
        yield f"nobody else seen from here ran on the vCPUs' CPUs{limit}"
        return
    yield painted(f"ran on the vCPUs' CPUs{limit}:", Ink.WARNING, colour=colour)
    rows = [(_stranger_cells(stranger, change.seconds), Ink.PLAIN) for stranger in change.strangers[:_MOST_STRANGERS]]
    yield from aligned(("tid", "thread", "pid", "CPU", "ran", "kind"), rows, width, colour=colour)
    if len(change.strangers) > _MOST_STRANGERS:
        yield f"... and {len(change.strangers) - _MOST_STRANGERS} more"


def _stranger_cells(stranger: Stranger, seconds: float) -> tuple[str, ...]:
    seen = stranger.sighting
    ran = "came" if stranger.ran_s is None else _percent(stranger.ran_s / seconds)
    kind = "kernel" if seen.is_kernel else "program"
    return (str(seen.tid), printable(seen.name), str(seen.pid), str(seen.cpu), ran, kind)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _percent(part: float | None) -> str:
    return "-" if part is None else f"{part * 100:.1f} %"
