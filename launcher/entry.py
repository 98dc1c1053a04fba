"""The command's first moment: what asks a run for its end is kept from here on, before anything heavy is imported."""

from __future__ import annotations

import sys
from typing import NoReturn


def command() -> NoReturn:
    """Run the command line's verb as this process, and end the process with its exit status."""
    if sys.argv[1:2] == ["run"]:
        from launcher.signals import keep_signals  # noqa: PLC0415 - the other verbs have no use for it

        keep_signals()
    from launcher.cli import command as run_verb  # noqa: PLC0415 - 40 ms in which a signal may come

    run_verb()
