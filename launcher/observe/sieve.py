"""Lines that a guest can cause without end: so many at once, then a few a second; the others are counted."""

from __future__ import annotations

# QEMU says a dozen lines in an ordinary life, and some dozens about a device that is broken.
BURST = 200
LINES_A_SECOND = 2.0


class Sieve:
    """Admits lines as long as there is credit, which grows with time."""

    def __init__(self, *, burst: int = BURST, lines_a_second: float = LINES_A_SECOND) -> None:
        self._burst = burst
        self._lines_a_second = lines_a_second
        self._credit = float(burst)
        self._at_s: float | None = None
        self._withheld = 0

    def admits(self, now_s: float) -> bool:
        """Tell whether a line may be told now; where not it is counted."""
        passed_s = 0.0 if self._at_s is None else now_s - self._at_s
        self._at_s = now_s
        self._credit = min(float(self._burst), self._credit + passed_s * self._lines_a_second)
        if self._credit < 1:
            self._withheld += 1
            return False
        self._credit -= 1
        return True

    def take_withheld(self) -> int:
        """Return how many were withheld since this was asked last."""
        withheld, self._withheld = self._withheld, 0
        return withheld
