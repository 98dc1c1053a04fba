"""The command line: one verb, one exit status, one clear line for every error that a person can cause."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from launcher.cli.arguments import parse_arguments
from launcher.cli.output import complain, logged
from launcher.cli.streams import open_missing_streams
from launcher.cli.termination import write_termination_message
from launcher.errors import ExitStatus, LauncherError
from launcher.last import do_last, expect_the_end


def command() -> NoReturn:
    """Run the command line's verb as this process, and end the process with its exit status.

    The interpreter would first take apart all that was imported, for a time as long as two or three empty interpreters
    take altogether (`make bench`); the kernel frees it at once. What is open by now was closed by whoever opened it.
    """
    open_missing_streams()
    expect_the_end()
    try:
        status = main()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else ExitStatus.POWERED_OFF
    for stream in (sys.stdout, sys.stderr):
        # What cannot be written any more changes nothing of what was done.
        with suppress(OSError, ValueError):
            stream.flush()
    do_last()
    os._exit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit status (`launcher.errors.ExitStatus`).

    An error raised on purpose becomes one line on standard error (one line for each fault of a manifest), a line of
    `run`'s log where that is JSON; anything else is a bug and keeps its traceback.
    """
    words = sys.argv[1:] if arguments is None else arguments
    options: Namespace | None = None
    try:
        options = parse_arguments(words)
        status = ExitStatus(options.verb_function(options))
        sys.stdout.flush()
    except LauncherError as error:
        return _report(error, options, is_run=words[:1] == ["run"])
    except BrokenPipeError:
        # The reader of our output went away, as `head` does; what it read was right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.POWERED_OFF
    except KeyboardInterrupt:
        return ExitStatus.DESTROYED
    except (MemoryError, OSError, ImportError, RuntimeError) as error:
        from launcher.cli.limits import scarcity  # noqa: PLC0415 - for a rare end

        scarce = scarcity(error)
        if scarce is None:
            raise
        return _report(scarce, options, is_run=words[:1] == ["run"])
    return status


def _report(error: LauncherError, options: Namespace | None, *, is_run: bool) -> int:
    lines = str(error).splitlines()
    if not (is_run and options is not None and logged(lines, options, error.exit_status)):
        complain("\n".join(f"virt-launcher: {line}" for line in lines))
    if is_run:
        write_termination_message(error.exit_status, str(error))
    return error.exit_status
