"""What waits for the guest's agent, done when it comes: in one thread at a time, and not again within seconds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum, auto

from launcher.supervise.errands import Errands

_log = logging.getLogger(__name__)

# An agent comes once a boot; a guest that closes and opens its port in a loop has it come many times a second.
INTERVAL_S = 10.0
# What an agent could not do (it is busy, or the user is made later) is asked again, after twice as long each time.
LONGEST_PAUSE_S = 320.0


class Visit(Enum):
    """Whether an agent is visited for the first time since it came, or for what it could not do before."""

    FIRST = auto()
    AGAIN = auto()


class Greeter:
    """Remembers that an agent came, and makes the call once the one before it is over and not too recent.

    `greet` returns whether all is done. While it is not, and the agent is there, it is called again in growing pauses.
    """

    def __init__(self, greet: Callable[[Visit], bool] | None, errands: Errands) -> None:
        """Begin with no agent; without a call to make, none is ever greeted."""
        self._greet = greet
        self._errands = errands
        self._is_there = False
        self._is_new = False
        self._is_done = True
        self._is_under_way = False
        self._pause_s = INTERVAL_S
        self._next_s: float | None = None

    @property
    def is_under_way(self) -> bool:
        """Tell whether the call is being made."""
        return self._is_under_way

    def agent_came(self) -> None:
        """Remember that an agent is there; however often it came, it is greeted once."""
        self._is_there = self._is_new = self._greet is not None

    def agent_left(self) -> None:
        """Forget the agent that has not been greeted yet, and what another could not do."""
        self._is_there = self._is_new = False

    def due_at_s(self, now_s: float) -> float | None:
        """Return when to look; None where nobody waits, or the one before is still under way."""
        if self._is_under_way or not (self._is_new or (self._is_there and not self._is_done)):
            return None
        return now_s if self._next_s is None else max(now_s, self._next_s)

    def look(self, now_s: float) -> None:
        """Greet the agent that waits, where it is time."""
        due_s = self.due_at_s(now_s)
        if due_s is None or due_s > now_s:
            return
        visit = Visit.FIRST if self._is_new else Visit.AGAIN
        self._pause_s = INTERVAL_S if self._is_new else min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._next_s = now_s + self._pause_s
        self._is_under_way = True
        try:
            self._errands.begin("agent", lambda: self._visit(visit))
        except RuntimeError as error:
            self._is_under_way = False
            _log.warning("agent: what waits for it is not done yet: %s", error)
        else:
            self._is_new = False

    def _visit(self, visit: Visit) -> None:
        self._is_done = True
        try:
            if self._greet is not None:
                self._is_done = self._greet(visit)
        finally:
            self._is_under_way = False
