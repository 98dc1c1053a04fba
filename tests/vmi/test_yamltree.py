"""YAML as kubectl reads it: what scalars mean, what is refused, and that nothing grows without bound."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.vmi.manifest import Value
from launcher.vmi.yamltree import MAX_DEPTH, MAX_NODES, Tree, read_trees

# Expected: what sigs.k8s.io/yaml makes of it (go.yaml.in/yaml/v2, resolve.go).
SCALARS: list[tuple[str, str, Value]] = [
    ("a_word", "demo", "demo"),
    ("an_integer", "42", 42),
    ("a_negative_integer", "-5", -5),
    ("a_plus_sign", "+7", 7),
    ("a_number_in_quotes_is_text", '"42"', "42"),
    ("a_number_in_single_quotes_is_text", "'42'", "42"),
    ("a_number_tagged_as_text", "!!str 42", "42"),
    ("a_number_with_the_bare_tag", "! 42", "42"),
    ("hexadecimal", "0x1F", 31),
    ("binary", "0b101", 5),
    ("octal_of_yaml_1_2", "0o17", 15),
    ("octal_of_yaml_1_1", "017", 15),
    ("no_octal", "08", 8),
    ("zero", "0", 0),
    ("underscores", "1_000", 1000),
    ("the_largest_integer", str(2**64 - 1), 2**64 - 1),
    ("beyond_it_a_float", str(2**64), 2**64),
    ("a_fraction", "1.5", 1.5),
    ("a_fraction_without_leading_digit", ".5", 0.5),
    ("a_whole_fraction_is_an_integer", "2.0", 2),
    ("an_exponent", "1e3", 1000),
    ("a_negative_exponent", "5e-1", 0.5),
    ("a_float_beyond_all_floats_is_text", "1e999", "1e999"),
    ("a_number_of_5000_digits_is_text", "9" * 5000, "9" * 5000),
    ("a_quantity", "1.5Gi", "1.5Gi"),
    ("milli", "500m", "500m"),
    ("true", "true", True),
    ("yes", "yes", True),
    ("on", "On", True),
    ("y", "y", True),
    ("no", "NO", False),
    ("off", "off", False),
    ("n", "n", False),
    ("mixed_case_is_text", "yEs", "yEs"),
    ("null", "null", None),
    ("tilde", "~", None),
    ("nothing", "", None),
    ("a_date_is_text", "2026-01-31", "2026-01-31"),
    ("a_time_is_text", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
    ("base_60_is_text", "1:30", "1:30"),
    ("a_mac_address_is_text", "52:54:00:12:34:56", "52:54:00:12:34:56"),
    ("a_sign_alone_is_text", "-", [None]),
    ("a_dash_word", "-x", "-x"),
    ("a_version_is_text", "1.2.3", "1.2.3"),
    ("the_merge_sign_as_a_value", "<<", "<<"),
    ("other_digits_are_text", "\u0663", "\u0663"),
    ("an_escaped_nul_in_quotes", '"a\\0b"', "a\0b"),
    ("a_block_of_text", "|\n  a\n  b\n", "a\nb\n"),
]

REFUSED = [
    ("a_tab_as_indentation", "a:\n\tb: 1", "line 2, column 1: not YAML: found character that cannot start any token"),
    ("two_colons", "a: b: c", "line 1, column 5: not YAML: mapping values are not allowed in this context"),
    ("an_open_list", "a: [1,", "line 2, column 1: not YAML: did not find expected node content"),
    ("a_control_character", "a: 1\nb: \x07", "line 2: not YAML: character 0x0007 is not allowed"),
    ("a_raw_nul", "a: \0", "line 1: not YAML: character 0x0000 is not allowed"),
    ("an_escaped_surrogate", 'a: "\\ud800"', "line 1, column 7: not YAML: found invalid Unicode character escape code"),
    ("a_duplicate_key", "a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' is there twice, first in line 1"),
    ("a_duplicate_key_in_json", '{"a": 1, "a": 1}', "line 1, column 10: the key 'a' is there twice, first in line 1"),
    ("a_number_as_key", "1: a", "line 1, column 1: the key '1' reads as 1, not as text; put it in quotes"),
    ("a_boolean_as_key", "on: a", "line 1, column 1: the key 'on' reads as true, not as text; put it in quotes"),
    ("no_key", "? \n: a", "line 1, column 2: the key '' reads as null, not as text; put it in quotes"),
    ("null_as_key", "~: a", "line 1, column 1: the key '~' reads as null, not as text; put it in quotes"),
    ("a_list_as_key", "? [a]\n: b", "line 1, column 3: a key must be plain text"),
    ("an_alias_as_key", "a: &x k\n*x : b", "line 2, column 1: a key must be plain text"),
    (
        "a_merge_of_a_number",
        "b:\n  <<: 5",
        "line 2, column 7: the merge key << wants a mapping or a list of mappings, not 5",
    ),
    (
        "a_merge_of_nothing",
        "b:\n  <<:",
        "line 2, column 6: the merge key << wants a mapping or a list of mappings, not null",
    ),
    (
        "a_merge_of_a_list_by_its_alias",
        "a: &x [{b: 1}]\nc:\n  <<: *x",
        "line 3, column 7: the merge key << wants a mapping or a list of mappings, not a list",
    ),
    (
        "a_merge_of_a_list_with_text_in_it",
        "b:\n  <<: [{a: 1}, two]",
        "line 2, column 16: the merge key << wants a mapping or a list of mappings, not 'two'",
    ),
    (
        "a_duplicate_beside_a_merge",
        "b: {<<: {a: 1}, c: 1, c: 2}",
        "line 1, column 23: the key 'c' is there twice, first in line 1",
    ),
    ("an_integer_tag", "a: !!int 3", "line 1, column 4: the tag 'tag:yaml.org,2002:int' is not accepted"),
    ("a_python_tag", "a: !!python/none x", "line 1, column 4: the tag 'tag:yaml.org,2002:python/none' is not accepted"),
    ("a_tag_on_a_mapping", "!x {a: 1}", "line 1, column 1: the tag '!x' is not accepted"),
    ("a_tag_on_a_list", "a: !!set [1]", "line 1, column 4: the tag 'tag:yaml.org,2002:set' is not accepted"),
    ("not_a_number", "a: .nan", "line 1, column 4: .nan is not a number that JSON has"),
    ("infinity", "a: -.inf", "line 1, column 4: -.inf is not a number that JSON has"),
    ("an_alias_without_anchor", "a: *x", "line 1, column 4: the alias *x has no anchor before it"),
    ("an_alias_inside_its_anchor", "a: &x [*x]", "line 1, column 8: the alias *x has no anchor before it"),
    ("an_anchor_of_another_document", "a: &x 1\n---\nb: *x", "line 3, column 4: the alias *x has no anchor before it"),
]

# Each would take gigabytes, minutes or the whole stack if it were read first and judged later.
UNBOUNDED = [
    ("lists_in_lists", "[" * 500_000, "nested more than"),
    ("mappings_in_mappings", '{"a":' * 200_000, "nested more than"),
    ("dashes", "- " * 500_000, "nested more than"),
    ("many_values", "a: [" + "1," * 500_000 + "]", "more than 50000 values"),
    ("many_documents", "---\n" * 250_000, "more than 50000 values"),
    (
        "a_billion_laughs",
        "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 31)),
        "more than 50000 values",
    ),
    (
        "a_billion_merges",
        "a0: &a0 {x: {v: [1, 2]}}\n"
        + "".join(f"a{n}: &a{n} {{b{n}: *a{n - 1}, <<: *a{n - 1}}}\n" for n in range(1, 31)),
        "more than 50000 values",
    ),
    (
        "aliases_that_nest",
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200)),
        "nested more than",
    ),
]


def _only_value(text: str) -> Value:
    (tree,) = read_trees(text)
    return tree.value


@pytest.mark.parametrize(("text", "expected"), [row[1:] for row in SCALARS], ids=[row[0] for row in SCALARS])
def test_a_scalar_means_what_it_means_to_kubectl(text: str, expected: Value) -> None:
    value = _only_value(f"a: {text}" if text != "-" else "a:\n-")
    assert value == {"a": expected}
    assert isinstance(value, dict)
    assert type(value["a"]) is type(expected)


@pytest.mark.parametrize(("text", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_is_not_plain_yaml_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the whole message is compared
        read_trees(text)
    assert str(refusal.value) == message


@pytest.mark.parametrize(("text", "message"), [row[1:] for row in UNBOUNDED], ids=[row[0] for row in UNBOUNDED])
def test_what_grows_without_bound_is_refused_early(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_trees(text)


# Expected: what sigs.k8s.io/yaml, YAMLToJSON, makes of it.
MERGED: list[tuple[str, str, Value]] = [
    ("of_an_alias", "{b: {<<: *x, c: 3}}", {"a": 1, "b": 2, "c": 3}),
    ("before_a_key_the_key_wins", "{b: {<<: *x, a: 3}}", {"a": 3, "b": 2}),
    ("after_a_key_the_merge_wins", "{b: {a: 3, <<: *x}}", {"a": 1, "b": 2}),
    ("of_a_list_the_first_wins", "{b: {<<: [*x, {a: 5, c: 6}]}}", {"a": 1, "b": 2, "c": 6}),
    ("of_an_empty_list", "{b: {<<: [], d: 1}}", {"d": 1}),
    ("written_out", "{b: {<<: {a: 7}}}", {"a": 7}),
    ("twice_the_later_wins", "{b: {<<: *x, <<: {b: 9}}}", {"a": 1, "b": 9}),
    ("in_quotes_is_a_key", '{b: {"<<": {a: 7}}}', {"<<": {"a": 7}}),
]


@pytest.mark.parametrize(("text", "expected"), [row[1:] for row in MERGED], ids=[row[0] for row in MERGED])
def test_a_merge_key_brings_what_it_brings_to_kubectl(text: str, expected: Value) -> None:
    value = _only_value(f"[&x {{a: 1, b: 2}}, {text}]")
    assert isinstance(value, list)
    assert value[1] == {"b": expected}


def test_what_a_merge_key_brought_is_merged_on() -> None:
    assert _only_value("a: &a {x: 1}\nb: &b {<<: *a, v: 2}\nc: {<<: *b, z: 3}") == {
        "a": {"x": 1},
        "b": {"x": 1, "v": 2},
        "c": {"x": 1, "v": 2, "z": 3},
    }


def test_an_alias_stands_for_its_anchor() -> None:
    assert _only_value("a: &x {b: [1, &y two]}\nc: *x\nd: *y") == {
        "a": {"b": [1, "two"]},
        "c": {"b": [1, "two"]},
        "d": "two",
    }


def test_an_anchor_may_be_set_again() -> None:
    assert _only_value("[&x 1, *x, &x 2, *x]") == [1, 1, 2, 2]


def test_every_document_tells_its_line() -> None:
    assert read_trees("# one\n\na: 1\n---\nb\n") == (Tree(line=3, value={"a": 1}), Tree(line=5, value="b"))


def test_documents_without_content_do_not_count() -> None:
    assert read_trees("---\n---\na: 1\n---\n# the end\n") == (Tree(line=3, value={"a": 1}),)


def test_the_deepest_nesting_is_read() -> None:
    deepest = _only_value("[" * (MAX_DEPTH - 1) + "1" + "]" * (MAX_DEPTH - 1))
    for _ in range(MAX_DEPTH - 1):
        assert isinstance(deepest, list)
        (deepest,) = deepest
    assert deepest == 1


def test_the_largest_document_is_read() -> None:
    value = _only_value("[" + "1," * (MAX_NODES - 1) + "]")
    assert isinstance(value, list)
    assert len(value) == MAX_NODES - 1


_KEYS = st.text(st.characters(max_codepoint=0x7E), max_size=200)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(st.characters(max_codepoint=0xD7FF)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(_KEYS, _JSON, min_size=1, max_size=5))
def test_json_is_read_as_json(value: dict[str, Value]) -> None:
    assert _only_value(json.dumps(value)) == value
    assert _only_value(json.dumps(value, indent="\t")) == value


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        trees = read_trees(text)
    except ValueError:
        return
    assert all(tree.value is not None for tree in trees)
