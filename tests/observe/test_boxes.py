"""The terminal's picture: whole drawings, and what holds for every drawing."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.cpuset import CPUSet
from launcher.observe.boxes import MOST_CPUS_IN_BOXES, draw_boxes
from launcher.observe.picture import picture_of
from launcher.observe.text import columns
from tests.goldens import assert_golden
from tests.observe.examples import EXAMPLES, Example, examples, host_of, pinning_of

GOLDEN = Path(__file__).parent / "golden"

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_TITLE = re.compile(r"(core|cache|node) \d+|sockets? [\d,-]+|[\d.]+ (GiB|bytes)")
_HAS_ARM_UP = set("│┃└┘┗┛├┤┴┼")
_HAS_ARM_DOWN = set("│┃┌┐┏┓├┤┬┼")


def _drawn(example: Example, *, width: int = 80, colour: bool = False, ascii_only: bool = False) -> str:
    return draw_boxes(picture_of(example.pinning, example.host), width=width, colour=colour, ascii=ascii_only)


def _box_lines(drawing: str) -> list[str]:
    return [line for line in drawing.splitlines() if set(line) & (_HAS_ARM_UP | _HAS_ARM_DOWN)]


def _cells(drawing: str) -> str:
    """Keep what is in the boxes, without their titles."""
    return _TITLE.sub("", "\n".join(_box_lines(drawing)))


@pytest.mark.parametrize("name", EXAMPLES)
def test_drawing_is_the_golden_one(name: str) -> None:
    assert_golden(GOLDEN / f"boxes-{name}.txt", _drawn(EXAMPLES[name]()))


def test_drawing_in_colour_is_the_golden_one() -> None:
    assert_golden(GOLDEN / "boxes-colour.txt", _drawn(EXAMPLES["degraded-offline3"](), colour=True))


def test_drawing_in_ascii_is_the_golden_one() -> None:
    assert_golden(GOLDEN / "boxes-ascii.txt", _drawn(EXAMPLES["desktop-1n4c2t"](), ascii_only=True))


def test_drawing_for_a_wide_terminal_is_the_golden_one() -> None:
    assert_golden(GOLDEN / "boxes-wide.txt", _drawn(EXAMPLES["server-2n2l8c2t"](), width=132))


@given(example=examples(), width=st.integers(10, 200))
@settings(max_examples=150, deadline=None)
def test_no_line_is_wider_than_asked_for(example: Example, width: int) -> None:
    for ascii_only in (False, True):
        lines = _drawn(example, width=width, ascii_only=ascii_only).splitlines()
        assert max(map(columns, lines)) <= max(width, 40)


@given(example=examples(), width=st.integers(40, 200))
@settings(max_examples=150, deadline=None)
def test_every_upright_line_goes_on_until_a_corner(example: Example, width: int) -> None:
    lines = _box_lines(_drawn(example, width=width))
    widest = max(map(len, lines))
    rows = [" " * widest, *(line.ljust(widest) for line in lines), " " * widest]
    for above, below in pairwise(rows):
        assert [c in _HAS_ARM_DOWN for c in above] == [c in _HAS_ARM_UP for c in below], f"{above}\n{below}"


@given(example=examples(), width=st.integers(40, 200))
@settings(max_examples=150, deadline=None)
def test_every_cpu_is_drawn_once(example: Example, width: int) -> None:
    drawn = re.findall(r"(?<![\w+-])\d+(?![\w-])", _cells(_drawn(example, width=width)))
    missing = example.pinning.cpuset - example.host.online
    assert sorted(map(int, drawn)) == list(example.host.online | missing)


@given(example=examples(), width=st.integers(40, 200))
@settings(max_examples=150, deadline=None)
def test_every_vcpu_is_drawn_once_or_counted(example: Example, width: int) -> None:
    cells = _cells(_drawn(example, width=width))
    drawn = [int(vcpu) for vcpu in re.findall(r"v(\d+)", cells)]
    counted = sum(int(number) for number in re.findall(r"\+(\d+)", cells))
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) <= {pin.vcpu for pin in example.pinning.vcpus}
    assert len(drawn) + counted == len(example.pinning.vcpus)


@given(example=examples())
@settings(max_examples=100, deadline=None)
def test_colour_adds_nothing_but_colour(example: Example) -> None:
    without = _COLOUR.sub("", _drawn(example, colour=True)).splitlines()
    assert [line.rstrip() for line in without] == _drawn(example).splitlines()


@given(example=examples())
@settings(max_examples=100, deadline=None)
def test_ascii_drawing_is_ascii(example: Example) -> None:
    assert _drawn(example, ascii_only=True).isascii()


def test_host_of_as_many_cpus_as_boxes_go_is_not_summed_up() -> None:
    host = host_of(cores=MOST_CPUS_IN_BOXES, threads=1)
    assert "255 v0" in _drawn(Example(host=host, pinning=pinning_of(host, cpuset="255", vcpus=(255,))))


def test_summed_up_node_counts_what_is_the_guests_and_what_is_others() -> None:
    host = host_of(nodes=2, cores=100)
    pinning = pinning_of(host, cpuset="0-9", vcpus=range(8), emulator="8", housekeeping="8", spare="9")
    drawing = _drawn(Example(host=host, pinning=pinning))
    first, second = drawing.split("node 1")
    for text in ("8 vCPUs       0-7", "on CPUs       0-7", "housekeeping  8", "spare         9", "190 of 200 CPUs"):
        assert text in first
    assert "vCPU" not in second.split("one mark")[0]
    assert "200 of 200 CPUs" in second


def test_every_core_of_a_summed_up_host_has_a_mark() -> None:
    host = host_of(nodes=2, caches=3, cores=50)
    pinning = pinning_of(host, cpuset=str(CPUSet.of(range(60))), vcpus=range(60), emulator="0-59")
    rows = [line for line in _drawn(Example(host=host, pinning=pinning)).splitlines() if re.match(r"┃ [█▌·]", line)]
    assert sum(len(re.findall("[█▌·]", row)) for row in rows) == 300
    assert sum(row.count("▌") for row in rows) == 60


def test_control_characters_of_the_source_do_not_reach_the_terminal() -> None:
    host = host_of(cores=1)
    drawing = _drawn(Example(host=host, pinning=pinning_of(host, cpuset="0", vcpus=(0,), source="/a\x1b[2J\u202eb")))
    assert "\x1b" not in drawing
    assert r"/a\x1b[2J\u202eb" in drawing
