"""Field paths and shown values."""

from __future__ import annotations

import pytest

from launcher.vmi.fieldpath import are_related, child, parent, show, without_indices

CHILDREN = [
    ("a_field_of_the_document", "", "spec", "spec"),
    ("a_field_of_a_field", "spec", "domain", "spec.domain"),
    ("an_annotation_is_quoted", "metadata.annotations", "a.b/c", "metadata.annotations['a.b/c']"),
    ("an_empty_key_is_quoted", "spec", "", "spec['']"),
    ("a_newline_in_a_key_is_escaped", "spec", "a\nb: x", "spec['a\\nb: x']"),
]

RELATED = [
    ("the_same", "spec.domain.cpu", "spec.domain.cpu", True),
    ("a_field_below", "spec.domain.cpu.cores", "spec.domain.cpu", True),
    ("a_field_above", "spec.domain", "spec.domain.cpu", True),
    ("an_item_below", "spec.volumes[]", "spec.volumes", True),
    ("a_longer_name", "spec.domain.ioThreads", "spec.domain.ioThreadsPolicy", False),
    ("a_sibling", "spec.domain.cpu", "spec.domain.memory", False),
]

SHOWN = [
    ("null", None, "null"),
    ("true", True, "true"),
    ("false", False, "false"),
    ("an_integer", -1, "-1"),
    ("a_mapping", {"a": 1}, "a mapping"),
    ("a_list", [1], "a list"),
    ("text", "it's", '"it\'s"'),
    ("a_nul_and_a_newline", "a\0b\n", "'a\\x00b\\n'"),
    ("a_lone_surrogate", "\ud800", "'\\ud800'"),
    ("sixty_characters", "x" * 60, "'" + "x" * 60 + "'"),
    ("more_is_cut", "x" * 61, "'" + "x" * 57 + "'..."),
]


@pytest.mark.parametrize(("path", "key", "expected"), [row[1:] for row in CHILDREN], ids=[row[0] for row in CHILDREN])
def test_a_key_is_joined_to_its_path(path: str, key: str, expected: str) -> None:
    assert child(path, key) == expected


@pytest.mark.parametrize(("path", "other", "related"), [row[1:] for row in RELATED], ids=[row[0] for row in RELATED])
def test_paths_are_related_when_one_holds_the_other(path: str, other: str, *, related: bool) -> None:
    assert (are_related(path, other), are_related(other, path)) == (related, related)


@pytest.mark.parametrize(("value", "expected"), [row[1:] for row in SHOWN], ids=[row[0] for row in SHOWN])
def test_a_value_is_shown_on_one_printable_line(value: object, expected: str) -> None:
    assert show(value) == expected
    assert show(value).isprintable()


def test_a_path_leads_up_to_the_document() -> None:
    path, seen = "spec.volumes[12].name", []
    while path:
        path = parent(path)
        seen.append(path)
    assert seen == ["spec.volumes[12]", "spec.volumes", "spec", ""]


def test_indices_can_be_left_out() -> None:
    assert without_indices("spec.domain.devices.disks[12].name") == "spec.domain.devices.disks[].name"
