"""Standard output and standard error of the verbs: how wide they are, and what is said where they cannot be written."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from launcher.errors import ExitStatus, HostError

if TYPE_CHECKING:
    from argparse import Namespace


def terminal() -> tuple[int, bool]:
    """Return the width of standard output in columns, and whether it shows colours (which NO_COLOR forbids)."""
    if not sys.stdout.isatty():
        return 80, False
    import shutil  # noqa: PLC0415 - its compressors take 5 ms, and only a terminal needs it

    has_colour = os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
    return shutil.get_terminal_size().columns, has_colour


def show(text: str, *, end: str = "\n") -> None:
    """Write a verb's result to standard output at once; raises HostError where that cannot be written.

    A reader that has gone away is no error of that kind (`launcher.cli.main`).
    """
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise HostError(f"standard output: {error.strerror}") from error
    except UnicodeEncodeError as error:
        lacking = error.object[error.start]
        raise HostError(f"standard output: its encoding, {error.encoding}, has no {lacking!a}") from error


def complain(text: str) -> None:
    """Write lines to standard error, harmless for a terminal; where that cannot be written nobody is told."""
    from launcher.observe.text import printable  # noqa: PLC0415 - only where something is wrong

    with suppress(OSError):
        for line in text.splitlines():
            print(printable(line), file=sys.stderr, flush=True)


def logged(lines: Iterable[str], options: Namespace, status: ExitStatus) -> bool:
    """Write each line to `run`'s log, as an error that ends it, where that log is JSON; tell whether it is."""
    import logging  # noqa: PLC0415 - only where something is wrong

    from launcher.observe.logs import LogFormat, configure_logging, resolved  # noqa: PLC0415 - likewise

    if resolved(LogFormat(options.log_format)) is LogFormat.TEXT:
        return False
    configure_logging(LogFormat.JSON, verbose=options.verbose)
    for line in lines:
        logging.getLogger(__name__).error("ended: %s", line, extra={"fields": {"exit_status": int(status)}})
    return True
