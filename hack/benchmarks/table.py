"""The table of the benchmark: one line for each quantity, with the target that is set for it."""

from __future__ import annotations

from dataclasses import dataclass

from hack.benchmarks.samples import Samples

_HEAD = ("what", "measured", "least to most", "n", "target", "")
# The columns of numbers, which are aligned to the right.
_NUMBERS = frozenset({1, 2, 3, 4})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One quantity; without a target it explains another one.

    Where `by_worst` the largest sample has to meet the target, else the median has to.
    """

    what: str
    samples: Samples
    unit: str
    target: float | None = None
    by_worst: bool = False

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
    lines = [_HEAD, *(_cells(row) for section in sections for row in section.rows)]
    widths = tuple(max(len(line[column]) for line in lines) for column in range(len(_HEAD)))
    printed = [_aligned(_HEAD, widths), "-" * (sum(widths) + 2 * len(widths) - 2)]
    for section in sections:
        printed += ["", section.title, *(_aligned(_cells(row), widths) for row in section.rows)]
    return "\n".join(printed) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    samples = row.samples
    spread = f"{_number(samples.least)} to {_number(samples.most)}" if len(samples.values) > 1 else ""
    target = "" if row.target is None else f"<= {row.target:g} {row.unit}"
    words = "  " + row.what + (", worst" if row.by_worst else "")
    return words, f"{_number(row.measured)} {row.unit}", spread, str(len(samples.values)), target, row.verdict


def _number(value: float) -> str:
    """Write three significant digits, and no exponent."""
    if value >= 100 or value == 0:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def _aligned(cells: tuple[str, ...], widths: tuple[int, ...]) -> str:
    columns = enumerate(zip(cells, widths, strict=True))
    aligned = (cell.rjust(width) if column in _NUMBERS else cell.ljust(width) for column, (cell, width) in columns)
    return "  ".join(aligned).rstrip()
