"""The log: one event a line, harmless to terminals, whole for programs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from launcher.observe.logs import LogFormat, configure_logging


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], level = before
    root.setLevel(level)


def _logged(capsys: pytest.CaptureFixture[str], log_format: str, message: str, *, fields: object = None) -> str:
    configure_logging(LogFormat(log_format), verbose=False)
    extra = {} if fields is None else {"fields": fields}
    logging.getLogger("launcher.test").warning("%s", message, extra=extra)
    return capsys.readouterr().err


def test_a_line_for_programs_is_json_with_time_level_event_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    line = json.loads(_logged(capsys, "json", "drifted: vcpu 1", fields={"tid": 7, "planned": "5"}))
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "event": "drifted",
        "message": "vcpu 1",
        "logger": "launcher.test",
        "tid": 7,
        "planned": "5",
    }


def test_a_line_for_people_has_time_level_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    line = _logged(capsys, "text", "drifted: vcpu 1")
    assert line[12:] == " WARNING drifted: vcpu 1\n"


HARMFUL = {
    "a line feed": "drifted: a\nINFO verified: all",
    "an escape": "drifted: \x1b[2J",
    "a carriage return": "drifted: a\rverified: all",
    "a direction override": "drifted: \u202edeifirev",
    "a line separator": "drifted: a\u2028verified: all",
    "a lone surrogate": "drifted: \udc80",
}


@pytest.mark.parametrize("message", HARMFUL.values(), ids=HARMFUL)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_one_event_is_one_harmless_line(log_format: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    logged = _logged(capsys, log_format, message)
    assert logged.endswith("\n")
    assert logged[:-1].isprintable()


def test_the_message_for_programs_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    line = json.loads(_logged(capsys, "json", "drifted: caf\u00e9 \x1b \u2028 \u202e"))
    assert line["message"] == "caf\u00e9 \x1b \u2028 \u202e"


def test_fields_of_any_type_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(_logged(capsys, "json", "x: y", fields={"cpus": frozenset((1,))}))["cpus"] == "frozenset({1})"


def test_a_traceback_is_within_the_line_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogFormat.JSON, verbose=False)
    try:
        int("x")
    except ValueError:
        logging.getLogger("launcher.test").exception("failed: odd")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError" in json.loads(line)["traceback"]


@pytest.mark.parametrize(("verbose", "shown"), [(False, ""), (True, "why")], ids=["quiet", "verbose"])
def test_the_reasons_are_shown_where_asked_for(
    *, verbose: bool, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(LogFormat.JSON, verbose=verbose)
    logging.getLogger("launcher.test").debug("why")
    told = capsys.readouterr().err
    assert (json.loads(told)["message"] if told else "") == shown
