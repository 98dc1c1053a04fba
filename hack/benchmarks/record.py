"""What the last run measured on this machine kind, and what has changed since."""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hack.benchmarks.processes import BenchError
from hack.benchmarks.table import Cells, Row, Section, lay_out, number

_HEAD = ("what", "last", "now", "change", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One quantity of an earlier run, with the spread of its samples, and the day of that run."""

    measured: float
    least: float
    most: float
    count: int
    day: str


# By the section's title and the row's words.
Record = Mapping[str, Past]


def machine_kind() -> str:
    """Name what two runs share that can be compared: processor, number of CPUs, the kernel's series and Python's."""
    kernel = ".".join(platform.release().split(".")[:2])
    python = ".".join(platform.python_version_tuple()[:2])
    return f"{_processor()}, {os.cpu_count()} CPUs, Linux {kernel}, Python {python}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def record_path(folder: Path, kind: str) -> Path:
    """Return the file of this machine kind."""
    return folder / f"{re.sub('[^A-Za-z0-9.]+', '-', kind).strip('-')}.json"


def read_record(path: Path) -> dict[str, Past]:
    """Return what was measured last, empty where nothing was; raises BenchError where the file is not ours."""
    try:
        return {key: Past(**fields) for key, fields in json.loads(path.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise BenchError(f"{path}: no record of a benchmark ({error}); remove it") from error


def write_record(path: Path, before: Record, sections: Sequence[Section]) -> None:
    """Keep what was measured now, and of before what was not measured this time."""
    day = time.strftime("%Y-%m-%d")
    now = {key: _past(row, day) for section in sections for key, row in _keyed(section)}
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({key: asdict(past) for key, past in {**before, **now}.items()}, indent=1)
    fresh = path.with_suffix(".new")
    fresh.write_text(text + "\n")
    fresh.replace(path)


def format_change(before: Record, sections: Sequence[Section]) -> str:
    """Return a table of what was measured before and now; empty where nothing was.

    Better and worse are said only where all samples of one run lie beyond all of the other's.
    """
    groups = [
        (section.title, [_cells(row, before[key]) for key, row in _keyed(section) if key in before])
        for section in sections
    ]
    known = [(title, lines) for title, lines in groups if lines]
    return lay_out(_HEAD, known) if known else ""


def _keyed(section: Section) -> list[tuple[str, Row]]:
    return [(f"{section.title}: {row.words}", row) for row in section.rows]


def _past(row: Row, day: str) -> Past:
    samples = row.samples
    return Past(measured=row.measured, least=samples.least, most=samples.most, count=len(samples.values), day=day)


def _cells(row: Row, before: Past) -> Cells:
    change = f"{number(row.measured / before.measured)} x" if before.measured else ""
    last = f"{number(before.measured)} {row.unit} ({before.day})"
    return "  " + row.words, last, f"{number(row.measured)} {row.unit}", change, _verdict(row, before)


def _verdict(row: Row, before: Past) -> str:
    """Less is better of everything that is measured here; one sample against another one says nothing."""
    if before.count < 2 or len(row.samples.values) < 2:
        return ""
    if row.samples.most < before.least:
        return "better"
    return "WORSE" if row.samples.least > before.most else ""
