"""The SVG picture: whole documents, and what holds for every one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from lxml import etree

from launcher.observe.picture import picture_of
from launcher.observe.svg import draw_svg
from tests.goldens import assert_golden
from tests.observe.examples import EXAMPLES, Example, examples, host_of, pinning_of

GOLDEN = Path(__file__).parent / "golden"

_SVG = "{http://www.w3.org/2000/svg}"
_CELLS = {"vcpu", "shared", "housekeeping", "floating", "spare", "others"}
_TOLERANCE = 0.5
_Box = tuple[float, float, float, float]


def _document(example: Example) -> etree._Element:
    return etree.fromstring(draw_svg(picture_of(example.pinning, example.host)).encode())


def _scaled(matrix: tuple[float, float, float], transform: str) -> tuple[float, float, float]:
    x, y, scale = matrix
    if moved := re.fullmatch(r"translate\(([\d.]+) ([\d.]+)\)", transform):
        return x + scale * float(moved[1]), y + scale * float(moved[2]), scale
    grown = re.fullmatch(r"scale\(([\d.]+)\)", transform)
    assert grown is not None, transform
    return x, y, scale * float(grown[1])


def _rectangles(
    element: etree._Element, matrix: tuple[float, float, float] = (0, 0, 1)
) -> Iterator[tuple[etree._Element, _Box]]:
    """Yield every rectangle with left, top, right and bottom in the document's own units."""
    if transform := element.get("transform"):
        matrix = _scaled(matrix, transform)
    if element.tag == f"{_SVG}rect":
        x, y, scale = matrix
        width, height = float(element.attrib["width"]), float(element.attrib["height"])
        yield element, (x, y, x + scale * width, y + scale * height)
    for child in element:
        yield from _rectangles(child, matrix)


def _overlap(one: _Box, other: _Box) -> bool:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return across > _TOLERANCE and down > _TOLERANCE


@pytest.mark.parametrize(
    "name", ["desktop-1n4c2t", "hybrid-2x2t-4x1t", "degraded-offline3", "cpus-in-no-node", "mixed-1n4c2t"]
)
def test_document_is_the_golden_one(name: str) -> None:
    example = EXAMPLES[name]()
    assert_golden(GOLDEN / f"svg-{name}.svg", draw_svg(picture_of(example.pinning, example.host)))


@given(example=examples())
@settings(max_examples=60, deadline=None)
def test_everything_lies_on_the_page_and_no_cpu_covers_another(example: Example) -> None:
    document = _document(example)
    (_, page), *rest = _rectangles(document)
    assert document.get("viewBox") == f"0 0 {page[2]:.0f} {page[3]:.0f}"
    for _, (left, top, right, bottom) in rest:
        assert page[0] <= left < right <= page[2]
        assert page[1] <= top < bottom <= page[3]
    cells = [box for element, box in rest if element.get("class") in _CELLS]
    assert not any(_overlap(one, other) for one, other in combinations(cells, 2))


@given(example=examples())
@settings(max_examples=60, deadline=None)
def test_every_cpu_tells_its_threads_to_the_pointer(example: Example) -> None:
    picture = picture_of(example.pinning, example.host)
    titles = [text for title in _document(example).iter(f"{_SVG}title") if (text := title.text or "").startswith("CPU")]
    shown = [cpu for node in picture.nodes for cpu in node.cpus] + list(picture.missing)
    told = {re.sub(r" \(.*?\)", "", title, count=1) for title in titles}
    assert len(titles) == len(shown)
    assert told == {f"CPU {cpu.cpu}: {cpu.sentence}" for cpu in shown}


@pytest.mark.parametrize("name", EXAMPLES)
def test_document_stands_alone(name: str) -> None:
    document = _document(EXAMPLES[name]())
    tags = {str(element.tag).removeprefix(_SVG) for element in document.iter()}
    assert tags == {"svg", "title", "desc", "style", "rect", "text", "g"}
    style = document.findtext(f"{_SVG}style") or ""
    assert not re.search(r"url|@import|@font-face|script", style)
    assert not any("href" in name for element in document.iter() for name in map(str, element.attrib))


@pytest.mark.parametrize("name", EXAMPLES)
def test_page_is_of_a_size_that_a_screen_shows(name: str) -> None:
    document = _document(EXAMPLES[name]())
    assert 500 <= float(document.attrib["width"]) <= 1700
    assert 150 <= float(document.attrib["height"]) <= 2500


def test_text_from_outside_is_escaped_and_printable() -> None:
    host = host_of(cores=1)
    pinning = pinning_of(host, cpuset="0", vcpus=(0,), source="/<script>&\x1b\x00")
    document = _document(Example(host=host, pinning=pinning))
    texts = [text.text for text in document.iter(f"{_SVG}text")]
    assert r"1 of 2 CPUs, read from /<script>&\x1b\x00" in texts


def test_states_are_told_apart_without_colours() -> None:
    document = _document(EXAMPLES["server-2n2l8c2t"]())
    dashed = {element.get("class") for element, _ in _rectangles(document) if element.get("stroke-dasharray")}
    assert dashed == {"spare"}


def test_nodes_that_are_alike_look_alike_whatever_their_cpus_carry() -> None:
    host = host_of(nodes=2, cores=4, contiguous=True)
    pinning = pinning_of(host, cpuset="0-15", vcpus=(0, 1, 2, 4), emulator="6-7", iothreads=("6-7", "6-7"))
    cores = [
        box for element, box in _rectangles(_document(Example(host=host, pinning=pinning))) if _is(element, "core")
    ]
    nodes = [
        box for element, box in _rectangles(_document(Example(host=host, pinning=pinning))) if _is(element, "node")
    ]
    columns = [
        [left - node[0] for left, *_ in cores[first : first + 4]] for node, first in zip(nodes, (0, 4), strict=True)
    ]
    assert columns[0] == columns[1]


def _is(element: etree._Element, kind: str) -> bool:
    return element.get("class") == kind
