"""Deadlines for calls that may never return: libvirt waits for ever on a QEMU that is stopped."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from launcher.errors import GuestDestroyed, HypervisorError

T = TypeVar("T")
IsStopping = Callable[[], bool]

# Where somebody wants the end, a call that has begun is waited for so long: whatever is alive answers sooner, and what
# libvirt is in the middle of is better left to its own end.
STOP_PATIENCE_S = 10.0
# A signal that comes while a call takes long is seen so soon.
STOP_INTERVAL_S = 0.1


class DeadlineExceeded(HypervisorError):
    """A call was given up on; it may still be going on in its thread."""


class CallAbandoned(GuestDestroyed):
    """A call was not waited for any longer because somebody wants the end; it may still be going on in its thread."""


class Call(Generic[T]):
    """A call in a thread of its own, which is left to its wait where nobody waits for it any more.

    It is a daemon thread, and a libvirt call on a stopped QEMU comes back when that QEMU ends.
    """

    def __init__(self, what: str, function: Callable[[], T]) -> None:
        """Begin the call."""
        self.what = what
        self._function = function
        self._results: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=f"call-{what}"[:15], daemon=True).start()

    @property
    def is_over(self) -> bool:
        """Tell whether the call has come back and nobody has taken its result."""
        return not self._results.empty()

    def result(
        self, timeout_s: float, is_stopping: IsStopping | None = None, meanwhile: Callable[[], None] | None = None
    ) -> T:
        """Wait for the call and return its result, or raise what it raised; `meanwhile` is called while it lasts.

        Raises DeadlineExceeded after `timeout_s` seconds, and CallAbandoned STOP_PATIENCE_S after somebody wants the
        end.
        """
        try:
            result, error = self._get(time.monotonic() + timeout_s, is_stopping or _never, meanwhile or _nothing)
        except queue.Empty:
            raise DeadlineExceeded(f"{self.what}: no answer within {timeout_s:g} s") from None
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # None only where T admits it

    def _get(
        self, ends_s: float, is_stopping: IsStopping, meanwhile: Callable[[], None]
    ) -> tuple[T | None, BaseException | None]:
        patience_ends_s: float | None = None
        while True:
            try:
                return self._results.get(timeout=min(STOP_INTERVAL_S, max(ends_s - time.monotonic(), 0.0)))
            except queue.Empty:
                now_s = time.monotonic()
                if now_s >= ends_s:
                    raise
            meanwhile()
            if patience_ends_s is None and is_stopping():
                patience_ends_s = now_s + STOP_PATIENCE_S
            if patience_ends_s is not None and now_s >= patience_ends_s:
                raise CallAbandoned(
                    f"stopped before the guest ran: {self.what} had no answer within {STOP_PATIENCE_S:g} s more"
                )

    def _run(self) -> None:
        try:
            self._results.put((self._function(), None))
        except BaseException as error:  # noqa: BLE001 - handed over whole to the caller's thread
            self._results.put((None, error))


def _never() -> bool:
    return False


def _nothing() -> None:
    return None
