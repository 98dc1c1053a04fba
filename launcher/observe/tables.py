"""The placement and the proof as text tables, for `plan`, `run` and `verify`.

Written by hand: importing rich's tables takes 45 ms (measured with -X importtime), longer than all the rest of `plan`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.host.model import Host
from launcher.observe.text import (
    Ink,
    bytes_in_words,
    columns,
    counted,
    cut,
    painted,
    printable,
    wrapped,
    wrapped_cpulist,
)
from launcher.planner.model import Cell, Pinning, VCPUPin
from launcher.planner.terms import proof_in_words

# Longer tables are summed up unless asked for in full: nobody reads 512 lines to see that all is well.
MOST_LINES = 64
# Where a table is summed up, a cpulist is cut after so many lines.
_MOST_LIST_LINES = 3
NARROWEST = 40
_GAP = 2
_LABEL = 9
# A column of cpulists is at least this wide, while there is another to take from: a range of three digits, a comma.
_NARROWEST_LIST = 8


class ThreadRow(Struct, frozen=True, kw_only=True):
    """One thread of QEMU: its role as planned ("vcpu 3", "emulator"), and its planned and its actual CPUs.

    `actual` is None where the thread ended before its affinity could be read.
    """

    tid: int
    name: str
    role: str
    planned: CPUSet
    actual: CPUSet | None

    @property
    def is_verified(self) -> bool:
        """Tell whether the kernel reports exactly what was planned."""
        return self.actual == self.planned

    @property
    def verdict(self) -> str:
        """The last column: "verified", "DRIFTED" or "gone"."""
        if self.actual is None:
            return "gone"
        return "verified" if self.is_verified else "DRIFTED"


class _Column(Struct, frozen=True, kw_only=True):
    """One column: its heading, and whether it holds numbers (to the right) or cpulists (which may be broken)."""

    heading: str
    is_number: bool = False
    is_list: bool = False


class _Row(Struct, frozen=True, kw_only=True):
    """The cells of one line, how it is painted, a remark below it, and whether it sums others up."""

    cells: tuple[str, ...]
    ink: Ink = Ink.PLAIN
    remark: str = ""
    is_sum: bool = False


_PLACEMENT = (
    _Column(heading="thread", is_list=True),
    _Column(heading="CPU", is_list=True),
    _Column(heading="core", is_list=True),
    _Column(heading="socket", is_list=True),
    _Column(heading="node", is_list=True),
)
_THREADS = (
    _Column(heading="tid", is_number=True),
    _Column(heading="thread"),
    _Column(heading="role"),
    _Column(heading="planned", is_list=True),
    _Column(heading="actual", is_list=True),
    _Column(heading="verdict"),
)


def placement_table(
    pinning: Pinning,
    *,
    host: Host | None = None,
    width: int = 80,
    colour: bool,
    explain: bool = False,
    full: bool = False,
) -> str:
    """Return the placement as a table in lines of at most `width` columns (at least 40), ending in a newline.

    With the host, the emulator and the IOThreads get core, socket and node, too. With `explain` the reason of each
    thread is below it. More than 64 vCPUs are summed up by NUMA node, unless `full` or `explain` is asked for.
    """
    width = max(width, NARROWEST)
    reasons = {reason.thread: reason.text for reason in pinning.reasons} if explain else {}
    is_summed = len(pinning.vcpus) > MOST_LINES and not full and not explain
    vcpus = _summed_vcpus(pinning) if is_summed else _vcpu_rows(pinning, reasons)
    rows = [*vcpus, *_shared_rows(pinning, host, reasons), *_other_rows(pinning, host, reasons)]
    lines = [
        *_head(pinning, width, most_lines=_MOST_LIST_LINES if is_summed else None),
        "",
        *_table(_PLACEMENT, rows, width, colour=colour),
        "",
        *_foot(pinning, width, colour=colour, most_lines=_MOST_LIST_LINES if is_summed else None),
        *(_reasons_of_the_whole(pinning, width) if explain else ()),
    ]
    return _text(lines)


def _reasons_of_the_whole(pinning: Pinning, width: int) -> Iterator[str]:
    for reason in pinning.reasons:
        if reason.thread == "placement":
            yield from _labelled("why", reason.text, width)


def threads_table(rows: Iterable[ThreadRow], *, width: int = 80, colour: bool, full: bool = False) -> str:
    """Return planned and actual CPUs of every thread in lines of at most `width` columns, ending in a newline.

    In the order given. Of more than 64 threads, those of one kind that are verified are summed up unless `full`.
    """
    width = max(width, NARROWEST)
    threads = tuple(rows)
    is_summed = len(threads) > MOST_LINES and not full
    shown = _summed_threads(threads) if is_summed else [_thread_row(thread) for thread in threads]
    return _text([*_table(_THREADS, shown, width, colour=colour), "", *_total(threads, width, colour=colour)])


def _head(pinning: Pinning, width: int, *, most_lines: int | None) -> Iterator[str]:
    yield from _labelled_list("cpuset", pinning.cpuset, width, most_lines)
    yield from _labelled("", f"{counted(len(pinning.cpuset), 'CPU')}, read from {pinning.source}", width)


def _foot(pinning: Pinning, width: int, *, colour: bool, most_lines: int | None) -> Iterator[str]:
    for cell in pinning.cells:
        yield from _labelled(f"cell {cell.cell}", _cell_in_words(cell), width)
    if pinning.housekeeping:
        yield from _labelled_list("reserved", pinning.housekeeping, width, most_lines)
    if pinning.spare:
        yield from _labelled_list("spare", pinning.spare, width, most_lines)
    if pinning.proof is not None:
        yield from _labelled("proof", proof_in_words(pinning.proof), width)
    if pinning.degraded:
        yield from _labelled("degraded", "vCPUs share CPUs: the cpuset no longer suffices", width, colour=colour)
    for warning in pinning.warnings:
        yield from _labelled("warning", warning, width, colour=colour)


def _cell_in_words(cell: Cell) -> str:
    return f"vCPUs {cell.vcpus}, {bytes_in_words(cell.memory_bytes)} on node {cell.node}"


def _vcpu_rows(pinning: Pinning, reasons: dict[str, str]) -> Iterator[_Row]:
    if not pinning.vcpus and not pinning.shared:
        yield _Row(cells=("vCPUs", str(pinning.cpuset), "", "", ""))
    for pin in pinning.vcpus:
        place = (str(pin.cpu), str(pin.core), str(pin.socket), str(pin.node))
        yield _Row(cells=(f"vCPU {pin.vcpu}", *place), remark=reasons.get(f"vcpu {pin.vcpu}", ""))


def _shared_rows(pinning: Pinning, host: Host | None, reasons: dict[str, str]) -> Iterator[_Row]:
    """Write the vCPUs that share their CPUs; neighbours on the same ones share a row unless reasons are told."""
    for cpus, members in groupby(pinning.shared, lambda pin: pin.cpus):
        place, ids = (str(cpus), *_place(cpus, host)), [pin.vcpu for pin in members]
        if reasons:
            for vcpu in ids:
                yield _Row(cells=(f"vCPU {vcpu}, shared", *place), remark=reasons.get(f"vcpu {vcpu}", ""))
            continue
        yield _Row(cells=(f"{'vCPUs' if len(ids) > 1 else 'vCPU'} {CPUSet.of(ids)}, shared", *place))


def _summed_vcpus(pinning: Pinning) -> Iterator[_Row]:
    """Sum the vCPUs of each NUMA node up in one row, in the order of the nodes."""
    for node, members in groupby(sorted(pinning.vcpus, key=_by_node), lambda pin: pin.node):
        pins = tuple(members)
        ids, cpus, cores, sockets = (CPUSet.of(numbers) for numbers in zip(*map(_numbers, pins), strict=True))
        place = (str(cpus), counted(len(cores), "core"), str(sockets), str(node))
        yield _Row(cells=(f"{counted(len(ids), 'vCPU')}: {ids}", *place), is_sum=True)


def _by_node(pin: VCPUPin) -> tuple[int, int]:
    return pin.node, pin.vcpu


def _numbers(pin: VCPUPin) -> tuple[int, int, int, int]:
    return pin.vcpu, pin.cpu, pin.core, pin.socket


def _other_rows(pinning: Pinning, host: Host | None, reasons: dict[str, str]) -> Iterator[_Row]:
    """Write the emulator and the IOThreads; neighbours on the same CPUs share a row unless reasons are told."""
    place = (str(pinning.emulator), *_place(pinning.emulator, host))
    yield _Row(cells=("emulator", *place), remark=reasons.get("emulator", ""))
    if pinning.vhost:
        yield _Row(cells=("vhost", str(pinning.vhost), *_place(pinning.vhost, host)), remark=reasons.get("vhost", ""))
    for cpus, members in groupby(pinning.iothreads, lambda pin: pin.cpus):
        ids = [pin.iothread for pin in members]
        place = (str(cpus), *_place(cpus, host))
        for label, first in [(f"IOThread {n}", n) for n in ids] if reasons else [(_iothreads(ids), ids[0])]:
            yield _Row(cells=(label, *place), remark=reasons.get(f"iothread {first}", ""))


def _iothreads(ids: Sequence[int]) -> str:
    return f"IOThread{'s' * (len(ids) > 1)} {_id_list(ids)}"


def _place(cpus: CPUSet, host: Host | None) -> tuple[str, str, str]:
    """Return cores, sockets and nodes of these CPUs as lists; blank without a host."""
    members = [cpu for cpu in host.cpus if cpu.cpu in cpus] if host else []
    return (
        _id_list(cpu.core for cpu in members),
        _id_list(cpu.socket for cpu in members),
        _id_list(cpu.node for cpu in members),
    )


def _id_list(ids: Iterable[int]) -> str:
    """Write ids as a list with ranges joined; -1 (a CPU in no node) comes first."""
    numbers = set(ids)
    known = str(CPUSet.of(number for number in numbers if number >= 0))
    return ",".join(part for part in ("-1" if -1 in numbers else "", known) if part)


def _thread_row(thread: ThreadRow) -> _Row:
    actual = "-" if thread.actual is None else str(thread.actual)
    cells = (str(thread.tid), printable(thread.name), printable(thread.role), str(thread.planned), actual)
    return _Row(cells=(*cells, thread.verdict), ink=Ink.PLAIN if thread.is_verified else Ink.BAD)


def _summed_threads(threads: Sequence[ThreadRow]) -> Iterator[_Row]:
    """Sum up what is verified, one row for each kind of role; every other thread keeps its row."""
    verified = [thread for thread in threads if thread.is_verified]
    for kind, members in groupby(sorted(verified, key=_kind), _kind):
        same = tuple(members)
        planned = str(_union(thread.planned for thread in same))
        name = counted(len(same), "thread")
        yield _Row(cells=("", name, printable(kind), planned, "as planned", same[0].verdict), is_sum=True)
    yield from (_thread_row(thread) for thread in threads if not thread.is_verified)


def _kind(thread: ThreadRow) -> str:
    """Return the role without its number: "vcpu" of "vcpu 3"."""
    return thread.role.rstrip("0123456789 ") or thread.role


def _union(sets: Iterable[CPUSet]) -> CPUSet:
    union = CPUSet()
    for cpus in sets:
        union |= cpus
    return union


def _total(threads: Sequence[ThreadRow], width: int, *, colour: bool) -> Iterator[str]:
    verdicts = [thread.verdict for thread in threads]
    parts = [f"{verdicts.count(verdict)} {verdict}" for verdict in ("verified", "DRIFTED", "gone")]
    told = ", ".join(part for part in parts if not part.startswith("0 ")) or "none"
    is_good = all(verdict == "verified" for verdict in verdicts)
    for line in wrapped(f"{counted(len(threads), 'thread')}: {told}".split(" "), width):
        yield painted(line, Ink.GOOD if is_good else Ink.BAD, colour=colour)


def _table(shape: Sequence[_Column], rows: Iterable[_Row], width: int, *, colour: bool) -> Iterator[str]:
    body = tuple(rows)
    heading = tuple(column.heading for column in shape)
    widths = _widths(shape, [heading, *(row.cells for row in body)], width)
    yield painted(_line(shape, heading, widths), Ink.BOLD, colour=colour)
    for row in body:
        for line in _broken(shape, row, widths):
            yield painted(line, row.ink, colour=colour)
        for line in wrapped(printable(row.remark).split(), width - 4):
            yield painted(f"    {line}", Ink.FAINT, colour=colour)


def _widths(shape: Sequence[_Column], cells: Sequence[tuple[str, ...]], width: int) -> list[int]:
    """Give each column what its longest cell needs; take what is too much from the widest, lists first."""
    widths = [max(map(columns, column)) for column in zip(*cells, strict=True)]
    limit = width - _GAP * (len(shape) - 1)
    while sum(widths) > limit:
        lists = [n for n, column in enumerate(shape) if column.is_list and widths[n] > _NARROWEST_LIST]
        widest = max(lists or range(len(shape)), key=lambda n: widths[n])
        widths[widest] -= 1
    return widths


def _broken(shape: Sequence[_Column], row: _Row, widths: Sequence[int]) -> Iterator[str]:
    """Write one row, its long lists broken into several lines."""
    most = _MOST_LIST_LINES if row.is_sum else None
    parts = [_parts(column, cell, wide, most) for column, cell, wide in zip(shape, row.cells, widths, strict=True)]
    for level in range(max(map(len, parts))):
        yield _line(shape, [part[level] if level < len(part) else "" for part in parts], widths)


def _parts(column: _Column, cell: str, width: int, most_lines: int | None) -> tuple[str, ...]:
    if columns(cell) <= width:
        return (cell,)
    return wrapped_cpulist(cell, width, most_lines=most_lines) if column.is_list else (cell,)


def _line(shape: Sequence[_Column], cells: Sequence[str], widths: Sequence[int]) -> str:
    texts = (
        _aligned(cut(cell, wide), wide, to_right=column.is_number)
        for column, cell, wide in zip(shape, cells, widths, strict=True)
    )
    return (" " * _GAP).join(texts).rstrip()


def _aligned(text: str, width: int, *, to_right: bool) -> str:
    blank = " " * (width - columns(text))
    return blank + text if to_right else text + blank


def _labelled(label: str, text: str, width: int, *, colour: bool = False) -> Iterator[str]:
    for number, line in enumerate(wrapped(printable(text).split(), width - _LABEL)):
        yield painted(f"{'' if number else label:<{_LABEL}}{line}", Ink.WARNING, colour=colour)


def _labelled_list(label: str, cpus: CPUSet, width: int, most_lines: int | None) -> Iterator[str]:
    for number, line in enumerate(wrapped_cpulist(str(cpus), width - _LABEL, most_lines=most_lines)):
        yield f"{'' if number else label:<{_LABEL}}{line}".rstrip()


def _text(lines: Sequence[str]) -> str:
    """Join lines, without blank ones at the end."""
    return "\n".join(lines).rstrip("\n") + "\n"
