"""Manifests as people have them become the machine that KubeVirt's rules make of them."""

from __future__ import annotations

import pytest
from lxml import etree

from tests.kubevirt.rendering import rendered
from tests.kubevirt.shapes import ARM_SHAPES, SHAPES


def _plain(element: etree._Element) -> str:
    """Return the element in its canonical form, without what stands around it and the lines inside it."""
    text = etree.tostring(element, encoding="unicode", with_tail=False)
    return etree.tostring(etree.fromstring(text, etree.XMLParser(remove_blank_text=True)), method="c14n").decode()


def _found(text: str, path: str, arch: str) -> list[str]:
    domain = etree.fromstring(rendered(text, arch)[0])
    return [_plain(element) for element in domain.iterfind(path)]


@pytest.mark.parametrize(("text", "path", "wanted"), [row[1:] for row in SHAPES], ids=[row[0] for row in SHAPES])
def test_a_shape_has(text: str, path: str, wanted: list[str]) -> None:
    assert _found(text, path, "x86_64") == [_plain(etree.fromstring(one)) for one in wanted]


@pytest.mark.parametrize(
    ("text", "path", "wanted"), [row[1:] for row in ARM_SHAPES], ids=[row[0] for row in ARM_SHAPES]
)
def test_a_shape_of_arm64_has(text: str, path: str, wanted: list[str]) -> None:
    assert _found(text, path, "aarch64") == [_plain(etree.fromstring(one)) for one in wanted]


def test_there_are_sixty_shapes_and_more() -> None:
    assert len({row[0] for row in SHAPES}) == len(SHAPES) >= 60
