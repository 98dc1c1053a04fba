"""The benchmark's record of a machine kind: what is kept for the next run, and what that tells of a change."""

from __future__ import annotations

from pathlib import Path

import pytest

from hack.benchmarks.processes import BenchError
from hack.benchmarks.record import Past, format_change, read_record, record_path, write_record
from hack.benchmarks.samples import Samples
from hack.benchmarks.table import Row, Section


def section(*values: float, title: str = "run", what: str = "start", by_worst: bool = False) -> Section:
    row = Row(what=what, samples=Samples(values=values), unit="s", by_worst=by_worst)
    return Section(title=title, rows=(row,))


def past(*values: float) -> Past:
    samples = Samples(values=values)
    return Past(measured=samples.median, least=samples.least, most=samples.most, count=len(values), day="2026-11-01")


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "bench" / "kind.json"
    write_record(path, {}, [section(3.0, 1.0, 2.0)])
    found = read_record(path)["run: start"]
    assert (found.measured, found.least, found.most, found.count) == (2.0, 1.0, 3.0, 3)


def test_what_was_not_measured_this_time_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "kind.json"
    write_record(path, {"run: start": past(1.0), "memory: start": past(5.0)}, [section(2.0)])
    assert {key: found.measured for key, found in read_record(path).items()} == {
        "run: start": 2.0,
        "memory: start": 5.0,
    }


def test_a_machine_kind_that_was_never_measured_has_no_record(tmp_path: Path) -> None:
    assert read_record(tmp_path / "kind.json") == {}


@pytest.mark.parametrize("text", ["", "[]", '{"run: start": 3}', '{"run: start": {"measured": 1}}'])
def test_a_file_that_is_no_record_is_told_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kind.json"
    path.write_text(text)
    with pytest.raises(BenchError, match=r"kind\.json: no record of a benchmark .*; remove it"):
        read_record(path)


def test_the_file_of_a_kind_has_a_plain_name(tmp_path: Path) -> None:
    path = record_path(tmp_path, "AMD EPYC (tm) 7/8, 2 CPUs, Linux 6.1, Python 3.11")
    assert path == tmp_path / "AMD-EPYC-tm-7-8-2-CPUs-Linux-6.1-Python-3.11.json"


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        pytest.param(past(1.0, 2.0), (2.1, 3.0), "WORSE", id="all samples lie above all of the last run's"),
        pytest.param(past(1.0, 2.0), (0.5, 0.9), "better", id="all samples lie below"),
        pytest.param(past(1.0, 2.0), (1.9, 3.0), "", id="the two overlap"),
        pytest.param(past(1.0), (2.0, 3.0), "", id="one sample then says nothing"),
        pytest.param(past(1.0, 2.0), (3.0,), "", id="nor does one sample now"),
    ],
)
def test_a_change_is_judged_where_the_samples_do_not_overlap(
    before: Past, now: tuple[float, ...], verdict: str
) -> None:
    *_, line = format_change({"run: start": before}, [section(*now)]).splitlines()
    assert line.split(" x", 1)[1].strip() == verdict


def test_a_change_is_told_as_a_table() -> None:
    sections = [section(2.0, 3.0, 4.0), section(1.0, title="new"), section(7.0, title="worst", by_worst=True)]
    before = {"run: start": past(1.0, 2.0), "worst: start, worst": past(3.5)}
    assert format_change(before, sections) == (
        "what                           last     now  change\n"
        "-----------------------------------------------------\n"
        "\n"
        "run\n"
        "  start         1.50 s (2026-11-01)  3.00 s  2.00 x\n"
        "\n"
        "worst\n"
        "  start, worst  3.50 s (2026-11-01)  7.00 s  2.00 x\n"
    )


def test_without_a_record_there_is_no_table() -> None:
    assert format_change({}, [section(1.0)]) == ""
