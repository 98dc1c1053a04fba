"""Errands: calls that may take long, made outside the supervisor's loop, and waited for when all is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Errands:
    """Threads that make one call each; begun and waited for by one thread, the loop's."""

    def __init__(self) -> None:
        self._under_way: tuple[threading.Thread, ...] = ()

    def begin(self, name: str, call: Callable[[], None]) -> None:
        """Make the call without waiting for it; raises RuntimeError where no thread is to be had (pids.max)."""
        errand = threading.Thread(target=call, name=name, daemon=True)
        errand.start()
        self._under_way = (*(other for other in self._under_way if other.is_alive()), errand)

    def wait(self, timeout_s: float) -> None:
        """Wait until all are over, for so long at most; others are left to their wait."""
        ends_s = time.monotonic() + timeout_s
        for errand in self._under_way:
            errand.join(max(ends_s - time.monotonic(), 0.0))
