"""Recognises a template that was not filled in (Helm, Jinja, OpenShift, a shell's), which is no manifest yet.

Loaded only for a manifest that is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from launcher.errors import Fault
from launcher.vmi.fieldpath import show
from launcher.vmi.manifest import Value

_MARK = re.compile(r"\{\{.{0,200}?\}\}|\{%.{0,200}?%\}|\{#.{0,200}?#\}|\{\{|\$\{\{?\w{1,100}\}?\}", re.ASCII)
# What is longer is somebody's script.
_LONGEST = 1000
_ADVICE = "fill it in first (helm template, jinja2, oc process, envsubst)"


def template_in_lines(text: str, numbers: Iterable[int]) -> str | None:
    """Say that this text is a template if one of these lines (from 1), where it is no YAML, has the mark of one."""
    lines = text.split("\n")
    for number in sorted(set(numbers)):
        mark = _MARK.search(lines[number - 1]) if 0 < number <= len(lines) else None
        if mark is not None:
            return f"line {number}: is a template, not a manifest: {show(mark[0].strip())}; {_ADVICE}"
    return None


def templates_apart(faults: Sequence[Fault], values: Sequence[Value]) -> list[Fault]:
    """Return these faults, those of values that are a template's told in one line; `values` are what is at fault."""
    marked = [(fault, mark) for fault, value in zip(faults, values, strict=True) if (mark := _mark_of(value))]
    if not marked:
        return list(faults)
    first, mark = marked[0]
    more = len({fault.path for fault, _ in marked}) - 1
    also = f", and {more} more" if more else ""
    told = Fault(first.path, f"is of a template, not of a manifest: {show(mark)}{also}; {_ADVICE}")
    others = [fault for fault in faults if all(fault is not one for one, _ in marked)]
    return [told, *others]


def _mark_of(value: Value) -> str | None:
    mark = _MARK.search(value) if isinstance(value, str) and len(value) < _LONGEST else None
    return None if mark is None else mark[0]
