"""The tables of placement and proof: whole outputs, and what holds for every one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.observe.tables import MOST_LINES, ThreadRow, placement_table, threads_table
from launcher.observe.text import columns
from launcher.planner.model import Reason
from tests.goldens import assert_golden
from tests.observe.examples import EXAMPLES, Example, examples, host_of, pinning_of

GOLDEN = Path(__file__).parent / "golden"

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def _row(tid: int, name: str, role: str, planned: str, actual: str | None) -> ThreadRow:
    read = None if actual is None else CPUSet.parse(actual)
    return ThreadRow(tid=tid, name=name, role=role, planned=CPUSet.parse(planned), actual=read)


_THREADS = (
    _row(4711, "qemu-system-x86", "emulator", "3", "3"),
    _row(4712, "call_rcu", "worker", "3", "3"),
    _row(4715, "IO iothread1", "iothread 1", "3", "0-7"),
    _row(4718, "CPU 0/KVM", "vcpu 0", "1", "1"),
    _row(4719, "CPU 1/KVM", "vcpu 1", "5", "1,5"),
    _row(99999, "evil\x1b[2J\u202e", "worker", "3", None),
)


def _many(*, count: int) -> list[ThreadRow]:
    rows = [_row(100 + n, f"CPU {n}/KVM", f"vcpu {n}", str(2 * n), str(2 * n)) for n in range(count)]
    rows[7] = _row(107, "CPU 7/KVM", "vcpu 7", "14", "0-255")
    return [_row(99, "qemu-system-x86", "emulator", "1", "1"), *rows]


@pytest.mark.parametrize("name", EXAMPLES)
def test_placement_is_the_golden_one(name: str) -> None:
    example = EXAMPLES[name]()
    assert_golden(GOLDEN / f"placement-{name}.txt", placement_table(example.pinning, host=example.host, colour=False))


def test_explained_placement_is_the_golden_one() -> None:
    example = EXAMPLES["desktop-1n4c2t"]()
    table = placement_table(example.pinning, host=example.host, colour=True, explain=True)
    assert_golden(GOLDEN / "placement-explained-colour.txt", table)


@pytest.mark.parametrize("colour", [False, True])
def test_threads_are_the_golden_ones(*, colour: bool) -> None:
    assert_golden(GOLDEN / f"threads{'-colour' * colour}.txt", threads_table(_THREADS, colour=colour))


def test_many_threads_are_summed_up_but_for_those_that_drifted() -> None:
    assert_golden(GOLDEN / "threads-many.txt", threads_table(_many(count=100), colour=False))


def test_no_threads_are_a_table_too() -> None:
    table = threads_table((), colour=False)
    assert table == "tid  thread  role  planned  actual  verdict\n\n0 threads: none\n"


@pytest.mark.parametrize(
    ("planned", "actual", "verdict"),
    [
        pytest.param("3", "3", "verified", id="the same set is verified"),
        pytest.param("3", "2-3", "DRIFTED", id="a larger set drifted"),
        pytest.param("2-3", "3", "DRIFTED", id="a smaller set drifted"),
        pytest.param("3", None, "gone", id="a thread that ended is gone"),
        pytest.param("", None, "gone", id="a thread that ended is gone, even if nothing was planned"),
    ],
)
def test_verdict_compares_whole_sets(planned: str, actual: str | None, verdict: str) -> None:
    row = _row(1, "x", "worker", planned, actual)
    assert (row.verdict, row.is_verified) == (verdict, verdict == "verified")


@given(example=examples(), width=st.integers(10, 200), explain=st.booleans(), full=st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_line_of_a_placement_is_wider_than_asked_for(
    example: Example, width: int, *, explain: bool, full: bool
) -> None:
    for host in (None, example.host):
        table = placement_table(example.pinning, host=host, width=width, colour=False, explain=explain, full=full)
        assert max(map(columns, table.splitlines())) <= max(width, 40)


@given(
    rows=st.lists(
        st.builds(
            ThreadRow,
            tid=st.integers(1, 4_194_304),
            name=st.text(max_size=15),
            role=st.text(max_size=30),
            planned=st.sets(st.integers(0, 300)).map(CPUSet.of),
            actual=st.none() | st.sets(st.integers(0, 300)).map(CPUSet.of),
        ),
        max_size=MOST_LINES + 10,
    ),
    width=st.integers(10, 200),
)
@settings(max_examples=100, deadline=None)
def test_no_line_of_a_thread_table_is_wider_than_asked_for(rows: list[ThreadRow], width: int) -> None:
    table = threads_table(rows, width=width, colour=False)
    assert max(map(columns, table.splitlines())) <= max(width, 40)
    assert _COLOUR.sub("", threads_table(rows, width=width, colour=True)) == table


@given(example=examples())
@settings(max_examples=100, deadline=None)
def test_every_vcpu_has_one_line_with_its_cpu(example: Example) -> None:
    table = placement_table(example.pinning, colour=False)
    found = re.findall(r"^vCPU (\d+) +(\d+) ", table, re.MULTILINE)
    assert found == [(str(pin.vcpu), str(pin.cpu)) for pin in example.pinning.vcpus]


def test_more_vcpus_than_lines_are_summed_up_by_node_unless_in_full() -> None:
    host = host_of(nodes=2, cores=64, threads=1)
    pinning = pinning_of(host, cpuset="0-127", vcpus=range(10, 10 + MOST_LINES + 1), emulator="0", housekeeping="0")
    assert "54 vCPUs: 0-53   10-63  54 cores  0       0\n" in placement_table(pinning, colour=False)
    in_full = placement_table(pinning, colour=False, full=True)
    assert len(re.findall(r"^vCPU \d+ ", in_full, re.MULTILINE)) == MOST_LINES + 1


def test_as_many_vcpus_as_lines_are_not_summed_up() -> None:
    host = host_of(cores=MOST_LINES, threads=1)
    table = placement_table(pinning_of(host, cpuset="0-63", vcpus=range(MOST_LINES)), colour=False)
    assert len(re.findall(r"^vCPU \d+ ", table, re.MULTILINE)) == MOST_LINES


def test_reasons_are_shown_only_when_asked_for() -> None:
    pinning = EXAMPLES["desktop-1n4c2t"]().pinning
    assert "lowest whole core" not in placement_table(pinning, colour=False)
    assert "lowest whole core" in placement_table(pinning, colour=False, explain=True)


def test_every_reason_of_the_whole_is_shown() -> None:
    pinning = EXAMPLES["desktop-1n4c2t"]().pinning
    reasons = (*pinning.reasons, Reason(thread="placement", text="first"), Reason(thread="placement", text="second"))
    lines = placement_table(replace(pinning, reasons=reasons), colour=False, explain=True).splitlines()
    assert [line for line in lines if line.startswith("why")][-2:] == ["why      first", "why      second"]


def test_iothreads_on_the_same_cpus_share_a_line() -> None:
    host = host_of(cores=4)
    pinning = pinning_of(host, cpuset="0-3", vcpus=(0,), emulator="1", iothreads=("1", "1", "2", "1", "3"))
    found = re.findall(r"^(IOThreads? \S+) +(\d)$", placement_table(pinning, colour=False), re.MULTILINE)
    assert found == [("IOThreads 1-2", "1"), ("IOThread 3", "2"), ("IOThread 4", "1"), ("IOThread 5", "3")]


def test_thread_names_cannot_steer_the_terminal() -> None:
    table = threads_table(_THREADS, width=120, colour=False)
    assert "\x1b" not in table
    assert r"evil\x1b[2J\u202e" in table


def test_the_sum_of_a_thread_table_is_broken_where_it_is_longer_than_a_line() -> None:
    rows = [_row(1, "a", "b", "0", "0"), *[_row(2, "a", "b", "0", "1")] * 10, *[_row(3, "a", "b", "0", None)] * 10]
    *_, last_but_one, last = threads_table(rows, width=40, colour=False).splitlines()
    assert (last_but_one, last) == ("21 threads: 1 verified, 10 DRIFTED, 10", "gone")
