"""What a guest can cause many times a second, told at once and then counted, every few seconds."""

from __future__ import annotations

from msgspec import Struct

# A person who reads along misses nothing, and a guest's broken disk does not fill the node's.
INTERVAL_S = 5.0
# A guest has so many disks; more kinds of words than these are told together.
_MOST_KINDS = 32


class _Told(Struct, frozen=True, kw_only=True):
    at_s: float
    withheld: int = 0


class Throttle:
    """Remembers what was told when, and how often since."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._told: dict[str, _Told] = {}

    def admits(self, words: str, now_s: float) -> bool:
        """Tell whether these words are to be told now; where not they are counted."""
        if words not in self._told and len(self._told) >= _MOST_KINDS:
            words = ""
        before = self._told.get(words)
        if before is None:
            self._told[words] = _Told(at_s=now_s)
            return words != ""
        self._told[words] = _Told(at_s=before.at_s, withheld=before.withheld + 1)
        return False

    def due_at_s(self) -> float | None:
        """Return when something is to be told or forgotten; None where nothing was told lately."""
        return min((told.at_s + self._interval_s for told in self._told.values()), default=None)

    def due(self, now_s: float, *, all_: bool = False) -> tuple[tuple[str, int], ...]:
        """Return what is to be told by now and how often it came since it was told last, and forget what has stopped.

        With `all_`, as at the end, everything that was counted and not told yet.
        """
        over = [(words, told) for words, told in self._told.items() if all_ or now_s - told.at_s >= self._interval_s]
        for words, told in over:
            if told.withheld:
                self._told[words] = _Told(at_s=now_s)
            else:
                del self._told[words]
        return tuple((words or "others", told.withheld) for words, told in over if told.withheld)
