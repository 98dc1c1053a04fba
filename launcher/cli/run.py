"""The verb `run`: what the start alone needs is done in a process of its own, and meanwhile the launcher gets ready."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from launcher.cli.choice import choice_of
from launcher.cli.limits import check_limits
from launcher.cli.workshop import Workshop
from launcher.errors import ExitStatus
from launcher.signals import keep_signals
from launcher.supervise.stopwatch import Stopwatch
from launcher.supervise.thrift import use_one_arena

if TYPE_CHECKING:
    from argparse import Namespace


def run(words: Sequence[str], on_options: Callable[[Namespace], None]) -> ExitStatus:
    """Start the guest or adopt it, supervise it, and return the exit status that says how it ended.

    `words` are the command line's; `on_options` is told of what they mean, which says how an error is to be reported.
    """
    stopwatch = Stopwatch()
    stopwatch.lap("process")
    use_one_arena()
    signals = keep_signals()
    with closing(Workshop()) as workshop:
        workshop.begin("parse_run", words)
        from launcher.cli.entrypoint import run_guest  # noqa: PLC0415 - while the command line is being parsed

        options = _options(words, workshop.finish())
        on_options(options)
        check_limits()
        workshop.begin("load_guest", options.vmi, choice_of(options))
        return run_guest(options, workshop, stopwatch, signals)


def _options(words: Sequence[str], parsed: dict[str, object] | None) -> Namespace:
    """Return the options; where there is something to say instead, it is said, and this process left."""
    if parsed is not None:
        return cast("Namespace", SimpleNamespace(**parsed))
    from launcher.cli.arguments import parse_arguments  # noqa: PLC0415 - for a command line that is wrong, or for help

    return parse_arguments(words)
