"""The benchmark's table: verdicts, and the whole text."""

from __future__ import annotations

import pytest

from hack.benchmarks.samples import Samples
from hack.benchmarks.table import Row, Section, format_table


def row(*values: float, target: float | None = None, by_worst: bool = False) -> Row:
    return Row(what="start", samples=Samples(values=values), unit="x", target=target, by_worst=by_worst)


@pytest.mark.parametrize(
    ("judged", "verdict"),
    [
        pytest.param(row(2.0), "", id="without a target there is no verdict"),
        pytest.param(row(2.0, target=2.0), "met", id="the target itself meets it"),
        pytest.param(row(2.01, target=2.0), "MISSED", id="just above is missed"),
        pytest.param(row(1.0, 1.0, 9.0, target=2.0), "met", id="the median counts, not the slowest"),
        pytest.param(row(1.0, 1.0, 9.0, target=2.0, by_worst=True), "MISSED", id="unless the worst is to count"),
        pytest.param(row(0.0, target=0.0), "met", id="none of what must not be meets a target of zero"),
    ],
)
def test_a_verdict_compares_what_was_measured_with_the_target(judged: Row, verdict: str) -> None:
    assert judged.verdict == verdict


def test_columns_are_aligned_over_all_sections() -> None:
    against = Samples(values=(1.5, 1.25, 3.0))
    start = Row(what="against virsh create", samples=against, unit="x", target=2, floor=Samples(values=(1.0, 1.2, 1.4)))
    memory = Row(what="VmRSS", samples=Samples(values=(140.4,)), unit="MiB", target=45)
    cause = Row(what="start", samples=Samples(values=(0.0123, 12.34)), unit="ms")
    sections = (Section(title="run", rows=(start,)), Section(title="memory", rows=(memory, cause)))
    assert format_table(sections) == (
        "what                    measured  least to most  n   floor   of it     target\n"
        "-------------------------------------------------------------------------------------\n"
        "\n"
        "run\n"
        "  against virsh create    1.50 x   1.25 to 3.00  3  1.20 x  1.25 x     <= 2 x  met\n"
        "\n"
        "memory\n"
        "  VmRSS                  140 MiB                 1                  <= 45 MiB  MISSED\n"
        "  start                  6.18 ms  0.012 to 12.3  2\n"
    )


def test_the_worst_is_compared_with_the_floor_where_the_worst_counts() -> None:
    repaired = Row(
        what="repair", samples=Samples(values=(1.0, 4.0)), unit="s", by_worst=True, floor=Samples(values=(2.0,))
    )
    assert "repair, worst    4.00 s   1.00 to 4.00  2  2.00 s  2.00 x" in format_table(
        (Section(title="reaction", rows=(repaired,)),)
    )
