"""The table of the benchmark: one line for each quantity, with its floor and the target that is set for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hack.benchmarks.samples import Samples

# One line's, column by column.
Cells = tuple[str, ...]

_HEAD = ("what", "measured", "least to most", "n", "floor", "of it", "target", "")
# The columns of words; those of numbers are aligned to the right.
_WORDS = frozenset({"what", ""})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One quantity; without a target it explains another one.

    Where `by_worst` the largest sample has to meet the target, else the median has to. `floor` is the same quantity of
    what does the least of it, measured in the same run: what libvirt, QEMU and the interpreter take alone.
    """

    what: str
    samples: Samples
    unit: str
    target: float | None = None
    by_worst: bool = False
    floor: Samples | None = None

    @property
    def words(self) -> str:
        """What is measured, and whether the worst of it counts."""
        return self.what + (", worst" if self.by_worst else "")

    @property
    def measured(self) -> float:
        """The number that stands for the samples."""
        return self.samples.most if self.by_worst else self.samples.median

    @property
    def verdict(self) -> str:
        """Tell whether the target is met; empty where there is none."""
        if self.target is None:
            return ""
        return "met" if self.measured <= self.target else "MISSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Rows that belong together, under a line that says how they were measured."""

    title: str
    rows: tuple[Row, ...]


def format_table(sections: tuple[Section, ...]) -> str:
    """Return all sections as one table whose columns are aligned over all of them."""
    return lay_out(_HEAD, [(section.title, [_cells(row) for row in section.rows]) for section in sections])


def lay_out(head: Cells, groups: Sequence[tuple[str, Sequence[Cells]]]) -> str:
    """Align all lines below one head, each group of them below its title."""
    lines = [head, *(cells for _title, group in groups for cells in group)]
    widths = tuple(max(len(line[column]) for line in lines) for column in range(len(head)))
    printed = [_aligned(head, head, widths), "-" * (sum(widths) + 2 * len(widths) - 2)]
    for title, group in groups:
        printed += ["", title, *(_aligned(cells, head, widths) for cells in group)]
    return "\n".join(printed) + "\n"


def _cells(row: Row) -> Cells:
    samples = row.samples
    spread = f"{number(samples.least)} to {number(samples.most)}" if len(samples.values) > 1 else ""
    target = "" if row.target is None else f"<= {row.target:g} {row.unit}"
    floor = "" if row.floor is None else f"{number(row.floor.median)} {row.unit}"
    of_floor = "" if row.floor is None else f"{number(row.measured / row.floor.median)} x"
    measured = f"{number(row.measured)} {row.unit}"
    return "  " + row.words, measured, spread, str(len(samples.values)), floor, of_floor, target, row.verdict


def number(value: float) -> str:
    """Write three significant digits, and no exponent."""
    if value >= 100 or value == 0:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def _aligned(cells: Cells, head: Cells, widths: tuple[int, ...]) -> str:
    columns = zip(cells, head, widths, strict=True)
    aligned = (cell.ljust(width) if name in _WORDS else cell.rjust(width) for cell, name, width in columns)
    return "  ".join(aligned).rstrip()
