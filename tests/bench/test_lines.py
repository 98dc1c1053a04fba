"""What the benchmark reads from the launcher's log."""

from __future__ import annotations

import pytest

from hack.benchmarks.launcher import LogLine, parse_line
from hack.benchmarks.startup import parse_phases


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param(
            '{"time": "2026-01-01T00:00:00.000+00:00", "event": "phase", "message": "running"}\n',
            LogLine(event="phase", message="running", at_s=1.5),
            id="a JSON line is an event and its message",
        ),
        pytest.param(
            "Traceback (most recent call last):\n",
            LogLine(event="", message="Traceback (most recent call last):", at_s=1.5),
            id="what is not JSON is kept as a message, to be shown",
        ),
        pytest.param("3\n", LogLine(event="", message="3", at_s=1.5), id="JSON that is no object likewise"),
        pytest.param(
            '{"a": 1}\n', LogLine(event="", message='{"a": 1}', at_s=1.5), id="an object without an event too"
        ),
    ],
)
def test_a_line_of_the_log_is_read(text: str, line: LogLine) -> None:
    assert parse_line(text, 1.5) == line


def test_phases_keep_their_order_and_their_names() -> None:
    phases = parse_phases("process 0.1200 s, ask the host 1.0000 s, start 0.4640 s")
    assert tuple(phases.items()) == (("process", 0.12), ("ask the host", 1.0), ("start", 0.464))


def test_a_line_without_phases_has_none() -> None:
    assert parse_phases("") == {}
