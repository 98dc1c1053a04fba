"""Deadlines for calls that may never return: libvirt waits for ever on a QEMU that is stopped."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from launcher.errors import HypervisorError

T = TypeVar("T")


class DeadlineExceeded(HypervisorError):
    """A call was given up on; it may still be going on in its thread."""


def call_within(timeout_s: float, what: str, function: Callable[[], T]) -> T:
    """Run the function in a thread of its own and return its result, or raise what it raised.

    Raises DeadlineExceeded after `timeout_s` seconds. The thread is left to its wait: it is a daemon thread, and a
    libvirt call on a stopped QEMU comes back when that QEMU ends.
    """
    results: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put((function(), None))
        except BaseException as error:  # noqa: BLE001 - handed over whole to the caller's thread
            results.put((None, error))

    threading.Thread(target=run, name=f"call-{what}"[:15], daemon=True).start()
    try:
        result, error = results.get(timeout=timeout_s)
    except queue.Empty:
        raise DeadlineExceeded(f"{what}: no answer within {timeout_s:g} s") from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # None only where T admits it
