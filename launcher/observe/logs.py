"""The launcher's log on standard error: JSON lines in a container, readable lines on a terminal."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import TextIO

from launcher.observe.text import printable


class LogFormat(StrEnum):
    """How log lines look; `auto` is text on a terminal and JSON elsewhere."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        # Thread names and QEMU's words come from outside: a line stays one line, and steers no terminal.
        text = f"{time} {record.levelname:<7} {printable(record.getMessage())}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _JSONFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        event, _, rest = message.partition(":")
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": event,
            "message": rest.strip() or message,
            "logger": record.name,
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to a stream that needs no flush after each line, and may take its time for one."""

    def flush(self) -> None:
        return


def configure_logging(log_format: LogFormat, *, verbose: bool) -> None:
    """Send the log to standard error in this format, from INFO on, or from DEBUG where verbose.

    An event's stable word stands before the first colon of its message; structured fields come as
    `extra={"fields": {...}}`.
    """
    handler = _Handler(sys.stderr)
    handler.setFormatter(_formatter(log_format))
    logging.basicConfig(handlers=[handler], level=logging.DEBUG if verbose else logging.INFO, force=True)


def dropped_notice(log_format: LogFormat) -> Callable[[int], str]:
    """Return what tells in a line of the log that so many of its lines are missing before it."""
    formatter = _formatter(log_format)

    def notice(dropped: int) -> str:
        fields = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING"}
        record = {**fields, "msg": "dropped: %d lines that nobody read", "args": (dropped,)}
        return f"{formatter.format(logging.makeLogRecord(record))}\n"

    return notice


def _formatter(log_format: LogFormat) -> logging.Formatter:
    return _TextFormatter() if resolved(log_format) is LogFormat.TEXT else _JSONFormatter()


def resolved(log_format: LogFormat) -> LogFormat:
    """Return text or JSON: what `auto` means for this process's standard error."""
    if log_format is not LogFormat.AUTO:
        return log_format
    return LogFormat.TEXT if sys.stderr.isatty() else LogFormat.JSON
