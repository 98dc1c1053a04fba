"""Programs that the scripts run to their end: told to end where the script is, and given the time to clear up."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

# mmdebstrap takes away the file systems that it has mounted when it is told to end; killed, it leaves them.
_PATIENCE_S = 60.0
_TO_END = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def end_orderly_when_told() -> None:
    """Turn the signals that ask this script to end into SystemExit: what was started is ended on the way out."""
    for number in _TO_END:
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))


def run_to_end(
    words: Sequence[str],
    *,
    stdin: bytes = b"",
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    capture: bool = True,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program and return how it ended and, with `capture`, what it printed; FileNotFoundError without one."""
    stream = subprocess.PIPE if capture else None
    # Told to end while it starts, this script would not know the program yet that it has to end.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TO_END)
    with subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=stream,
        stderr=stream,
        cwd=cwd,
        env=environment,
        preexec_fn=partial(signal.pthread_sigmask, signal.SIG_SETMASK, before),  # noqa: PLW1509 - no threads are here
    ) as program:
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            output, errors = program.communicate(stdin)
        except BaseException:
            _end(program)
            raise
    return subprocess.CompletedProcess(words, program.returncode, output or b"", errors or b"")


def _end(program: subprocess.Popen[bytes]) -> None:
    program.terminate()
    try:
        if program.stdout is None:
            program.wait(_PATIENCE_S)
        else:
            # What it still prints is taken from it, or it would wait for a reader.
            program.communicate(timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        program.kill()
