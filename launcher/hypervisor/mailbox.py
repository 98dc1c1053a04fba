"""The mailbox: events of machines, told of the one life that is followed, and of no other."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from launcher.hypervisor.life import Life
from launcher.hypervisor.protocol import MachineEvent

# What waits before a machine is followed: some words of an old one's end. More is nobody's.
_MOST_KEPT = 64


class Mailbox:
    """Keeps the events of every life until one is followed; from then on that one's alone are handed on.

    Events come late, in a thread of libvirt's: those of a former machine may come after the next one was started.
    """

    def __init__(self, on_event: Callable[[MachineEvent], None], has_ended: Callable[[Life], bool]) -> None:
        """Hand on to this callback; `has_ended` asks whether a life is over, and may take its time."""
        self._on_event = on_event
        self._has_ended = has_ended
        self._followed: Life | None = None
        self._kept: deque[tuple[Life, MachineEvent]] = deque(maxlen=_MOST_KEPT)
        self._lock = threading.Lock()

    def put(self, life: Life, event: MachineEvent) -> None:
        """Take an event of a life; does not wait for anybody."""
        with self._lock:
            if self._followed is None:
                self._kept.append((life, event))
                return
        self._hand_on(life, event)

    def follow(self, life: Life) -> None:
        """Hand on the events of this life from now on, those that were kept first."""
        with self._lock:
            self._followed = life
            kept = tuple(self._kept)
            self._kept.clear()
            for one, event in kept:
                self._hand_on(one, event)

    def _hand_on(self, life: Life, event: MachineEvent) -> None:
        followed = self._followed
        if followed is None or life.uuid != followed.uuid:
            return
        if life == followed:
            self._on_event(event)
        elif life.is_over:
            # Asked in a thread of its own: this one is libvirt's, which the answer may need.
            threading.Thread(target=self._ask, args=(followed, event), name="whose-event", daemon=True).start()

    def _ask(self, followed: Life, event: MachineEvent) -> None:
        if self._has_ended(followed):
            self._on_event(event)
