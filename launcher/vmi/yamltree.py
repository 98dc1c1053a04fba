"""Turns YAML text into trees of plain values, as kubectl reads YAML, within bounds of size and depth.

What a plain scalar means follows sigs.k8s.io/yaml (go.yaml.in/yaml/v2, resolve.go), which kubectl uses: yes, no, on,
off, y and n are booleans, 017 and 0o17 are 15, a date and 1:30 are text; a merge key (<<) counts where it stands: of
two values of one key the later one holds. Unlike there a key that is written twice, a key that is not text and a tag
are refused with their line, for each of them hides what a manifest says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Protocol

import yaml
from msgspec import Struct, field

from launcher.vmi.fieldpath import show
from launcher.vmi.manifest import Value

# Nodes with every alias expanded; a VMI as kubectl prints it, managedFields included, has about 2,000.
MAX_NODES = 50_000
# The deepest field of a VMI lies at 12; the bound makes recursion over a document safe.
MAX_DEPTH = 64
_TOO_DEEP = f"nested more than {MAX_DEPTH} deep"

_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", re.ASCII)
# A longer number is text, so that converting it costs no time.
_LONGEST_NUMBER = 64
# Go writes a whole float below this without an exponent (encoding/json), so that the API server sees an integer.
_WHOLE_FLOATS = 1e21
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"], True),
    **dict.fromkeys(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"], False),
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
}
_STRING_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})


class NotYAML(ValueError):
    """The text is not the YAML that is read here; `lines` (from 1) are where it is not."""

    def __init__(self, message: str, lines: list[int]) -> None:
        super().__init__(message)
        self.lines = lines


class Tree(Struct, frozen=True, kw_only=True):
    """The value of one document, and the line (from 1) where it starts."""

    line: int
    value: Value


class _Reading(Struct, kw_only=True):
    """How far one text has been read: the events to come, the anchors seen, the nodes counted."""

    events: Iterator[yaml.Event]
    anchors: dict[str, Value] = field(default_factory=dict)
    nodes: int = 0


def read_trees(text: str) -> tuple[Tree, ...]:
    """Return every document of the text that is not empty; raises ValueError with line and column."""
    reading = _Reading(events=_events(text))
    trees = []
    for event in reading.events:
        if isinstance(event, yaml.DocumentStartEvent):
            reading.anchors.clear()
            first = next(reading.events)
            tree = Tree(line=_line(first), value=_value(reading, first, 1))
            trees.append(tree)
    return tuple(tree for tree in trees if tree.value is not None)


def _events(text: str) -> Iterator[yaml.Event]:
    """Yield the parser's events; only those, for composing nodes recurses as deep as the text is nested."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        yield from yaml.parse(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        marks = [mark for mark in (error.problem_mark, error.context_mark) if mark is not None]
        place = _place(marks[0] if marks else None)
        raise NotYAML(f"{place}{_problem(error)}", [mark.line + 1 for mark in marks]) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ValueError(f"line {line}: not YAML: character {error.character:#06x} is not allowed") from error


def _problem(error: yaml.MarkedYAMLError) -> str:
    """Say what the library found; PyYAML from 6.0.4 on bounds the depth, too, and may meet its bound before ours."""
    problem = error.problem or error.context or "it cannot be read"
    return _TOO_DEEP if "nesting depth" in problem else f"not YAML: {problem}"


class _Mark(Protocol):
    """A place in the text, counted from 0; PyYAML has two classes of it."""

    line: int
    column: int


def _place(mark: _Mark | None) -> str:
    return "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "


def _line(event: yaml.Event) -> int:
    return 1 if event.start_mark is None else event.start_mark.line + 1


def _refuse(event: yaml.Event, message: str) -> NotYAML:
    return NotYAML(_place(event.start_mark) + message, [_line(event)])


def _value(reading: _Reading, event: yaml.Event, depth: int) -> Value:
    """Build the value that starts with this event, and everything below it."""
    _count(reading, event, depth=depth)
    match event:
        case yaml.AliasEvent():
            return _alias(reading, event, depth)
        case yaml.ScalarEvent():
            return _keep(reading, event.anchor, _scalar(event))
        case yaml.MappingStartEvent():
            _refuse_tag(event)
            return _keep(reading, event.anchor, _mapping(reading, depth))
        case yaml.SequenceStartEvent():
            _refuse_tag(event)
            return _keep(reading, event.anchor, _sequence(reading, depth))
        case _:
            raise _refuse(event, "not a value")


def _keep(reading: _Reading, anchor: str | None, value: Value) -> Value:
    if anchor is not None:
        reading.anchors[anchor] = value
    return value


def _refuse_tag(event: yaml.Event) -> None:
    tag = getattr(event, "tag", None)
    if tag is not None and tag not in _STRING_TAGS:
        raise _refuse(event, f"the tag {show(tag)} is not accepted")


def _count(reading: _Reading, event: yaml.Event, *, depth: int) -> None:
    reading.nodes += 1
    if reading.nodes > MAX_NODES:
        raise _refuse(event, f"more than {MAX_NODES} values, aliases expanded")
    if depth > MAX_DEPTH:
        raise _refuse(event, _TOO_DEEP)


def _alias(reading: _Reading, event: yaml.AliasEvent, depth: int) -> Value:
    """Return the anchor's value, counted as if it were written out here."""
    if event.anchor not in reading.anchors:
        raise _refuse(event, f"the alias *{event.anchor} has no anchor before it")
    value = reading.anchors[event.anchor]
    waiting = [(value, depth)]
    while waiting:
        node, level = waiting.pop()
        _count(reading, event, depth=level)
        below = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        waiting.extend((inner, level + 1) for inner in below)
    return value


def _sequence(reading: _Reading, depth: int) -> list[Value]:
    values = []
    while not isinstance(event := next(reading.events), yaml.SequenceEndEvent):
        values.append(_value(reading, event, depth + 1))
    return values


def _mapping(reading: _Reading, depth: int) -> dict[str, Value]:
    values: dict[str, Value] = {}
    lines: dict[str, int] = {}
    while not isinstance(event := next(reading.events), yaml.MappingEndEvent):
        if _is_merge(event):
            values.update(_merged(reading, next(reading.events), depth + 1))
            continue
        key = _key(event)
        if key in lines:
            raise _refuse(event, f"the key {show(key)} is there twice, first in line {lines[key]}")
        lines[key] = _line(event)
        values[key] = _value(reading, next(reading.events), depth + 1)
    return values


def _is_merge(event: yaml.Event) -> bool:
    return isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value == "<<"


def _merged(reading: _Reading, event: yaml.Event, depth: int) -> dict[str, Value]:
    """Return the fields that a merge key brings: those of a mapping, or of a list of them, of which the first wins."""
    if not isinstance(event, yaml.SequenceStartEvent):
        return _merge_source(event, _value(reading, event, depth))
    _count(reading, event, depth=depth)
    sources = []
    while not isinstance(inner := next(reading.events), yaml.SequenceEndEvent):
        sources.append(_merge_source(inner, _value(reading, inner, depth + 1)))
    return {key: value for source in reversed(sources) for key, value in source.items()}


def _merge_source(event: yaml.Event, value: Value) -> dict[str, Value]:
    if not isinstance(value, dict):
        raise _refuse(event, f"the merge key << wants a mapping or a list of mappings, not {show(value)}")
    return value


def _key(event: yaml.Event) -> str:
    if not isinstance(event, yaml.ScalarEvent):
        raise _refuse(event, "a key must be plain text")
    key = _scalar(event)
    if not isinstance(key, str):
        raise _refuse(event, f"the key {show(event.value)} reads as {show(key)}, not as text; put it in quotes")
    return key


def _scalar(event: yaml.ScalarEvent) -> Value:
    _refuse_tag(event)
    if event.tag is not None or not event.implicit[0]:
        return event.value
    if _NOT_FINITE.fullmatch(event.value):
        raise _refuse(event, f"{event.value} is not a number that JSON has")
    return plain_scalar(event.value)


def plain_scalar(text: str) -> bool | int | float | str | None:
    """Return what an unquoted scalar means to kubectl; .inf and .nan are the caller's."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789" or len(text) > _LONGEST_NUMBER:
        return text
    bare = text if text[0] == "." else text.replace("_", "")
    if match := _INTEGER.fullmatch(bare):
        number = _integer(match)
        if -(2**63) <= number < 2**64:
            return number
    return _float(bare, text) if _FLOAT.fullmatch(bare) else text


def _integer(match: re.Match[str]) -> int:
    sign, hexadecimal, binary, octal, decimal = match.groups()
    digits, base = next((d, b) for d, b in ((hexadecimal, 16), (binary, 2), (octal, 8), (decimal, 10)) if d)
    return int(sign + digits, base)


def _float(bare: str, text: str) -> int | float | str:
    number = float(bare)
    if math.isinf(number):
        return text
    return int(number) if number.is_integer() and abs(number) < _WHOLE_FLOATS else number
