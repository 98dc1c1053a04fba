"""The command line: one verb, one exit status, one clear line for every error that a person can cause."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from launcher.cli.output import complain, logged
from launcher.cli.streams import open_missing_streams
from launcher.cli.termination import write_termination_message
from launcher.errors import ExitStatus, LauncherError
from launcher.last import do_last, expect_the_end

if TYPE_CHECKING:
    from argparse import Namespace


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

    def note(parsed: Namespace) -> None:
        nonlocal options
        options = parsed

    try:
        status = _do_verb(words, note)
        sys.stdout.flush()
    except LauncherError as error:
        return _report(error, options, is_run=_is_run(words))
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
        return _report(scarce, options, is_run=_is_run(words))
    return status


def _is_run(words: Sequence[str]) -> bool:
    return words[:1] == ["run"]


def _do_verb(words: Sequence[str], on_options: Callable[[Namespace], None]) -> ExitStatus:
    """Do what the command line asks for; `on_options` is told of its options as soon as they are known."""
    if _is_run(words):
        from launcher.cli.run import run  # noqa: PLC0415 - it has the command line parsed elsewhere

        return run(words, on_options)
    from launcher.cli.arguments import parse_arguments  # noqa: PLC0415 - a run's own process does without

    options = parse_arguments(words)
    on_options(options)
    return ExitStatus(options.verb_function(options))


def _report(error: LauncherError, options: Namespace | None, *, is_run: bool) -> int:
    lines = str(error).splitlines()
    if not (is_run and options is not None and logged(lines, options, error.exit_status)):
        complain("\n".join(f"virt-launcher: {line}" for line in lines))
    if is_run:
        write_termination_message(error.exit_status, str(error))
    return error.exit_status
