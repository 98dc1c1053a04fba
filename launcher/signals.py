"""Signals: those that ask for the end are kept until somebody takes them, those that mean nothing here are ignored."""

from __future__ import annotations

import signal
from collections.abc import Callable

# As a terminal that is hung up, or a person who presses Ctrl-C or Ctrl-\, has it: each asks for the guest's end.
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)

# What the kernel sends for a fault of this process, and what job control sends: those do what they always do. All
# others would end the launcher and leave a guest that nobody watches (signal(7), "Standard signals").
_LEFT_ALONE = {
    *(signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSYS, signal.SIGTRAP),
    *(signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT, signal.SIGCHLD, signal.SIGKILL),
}


class StopSignals:
    """The handler of the signals that ask for the end; what comes before somebody takes them is kept.

    No lock and no queue: a signal may come in the middle of another one's handler, or of anything else.
    """

    def __init__(self) -> None:
        self._kept: list[int] = []
        self._take: Callable[[int], None] | None = None

    def __call__(self, number: int, _frame: object) -> None:
        """Take a signal (signal.signal)."""
        if self._take is None:
            self._kept.append(number)
        else:
            self._take(number)

    def hand_to(self, take: Callable[[int], None]) -> None:
        """Hand every signal to this function from now on, those that were kept first."""
        self._take = take
        while self._kept:
            take(self._kept.pop(0))


def keep_signals() -> StopSignals:
    """Keep the signals from now on, or go on keeping them; call in the main thread, and as early as can be.

    Who starts this process with them blocked, by `env --block-signal`, loses none of the interpreter's first
    milliseconds either: they are let through once they are kept. nohup's SIGHUP stays ignored.
    """
    kept = signal.getsignal(signal.SIGTERM)
    if isinstance(kept, StopSignals):
        return kept
    stops = StopSignals()
    for number in STOPS:
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stops)
    for other in signal.valid_signals() - _LEFT_ALONE - set(STOPS):
        signal.signal(other, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    return stops


def ignore_signals() -> None:
    """Let no signal that asks for the end do anything any more."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
