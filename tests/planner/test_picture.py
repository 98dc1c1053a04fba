"""The picture in the planner's README, held against its imports."""

from __future__ import annotations

import re
from pathlib import Path

_PLANNER = Path(__file__).parents[2] / "launcher" / "planner"
_IMPORT = re.compile(r"^from launcher\.planner\.([\w.]+) import", re.MULTILINE)


def _rows() -> list[list[str]]:
    picture = (_PLANNER / "README.md").read_text().split("## The picture")[1].split("```")[1]
    return [line.split() for line in picture.strip().splitlines()]


def _parts() -> dict[str, set[str]]:
    """Return the parts, each with those that it imports."""
    found = {}
    for path in _PLANNER.rglob("*.py"):
        if path.stem != "__init__":
            name = ".".join(path.relative_to(_PLANNER).with_suffix("").parts)
            found[name] = set(_IMPORT.findall(path.read_text()))
    return found


def test_the_picture_shows_every_part_once() -> None:
    assert sorted(name for row in _rows() for name in row) == sorted(_parts())


def test_every_part_uses_only_what_stands_below_it() -> None:
    height = {name: -number for number, row in enumerate(_rows()) for name in row}
    wrong = [(name, used) for name, uses in _parts().items() for used in uses if height[used] >= height[name]]
    assert not wrong


def test_no_part_is_longer_than_a_person_reads_at_once() -> None:
    lines = {path.name: len(path.read_text().splitlines()) for path in _PLANNER.rglob("*.py")}
    assert {name: count for name, count in lines.items() if count > 250} == {}
