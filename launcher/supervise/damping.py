"""The damping of repairs: a thread that is moved again and again is reported, not fought."""

from __future__ import annotations

from msgspec import Struct

from launcher.supervise.drift import Repair

# The tenth repair of one thread within a minute is one too many: somebody else holds another opinion, and the two would
# take the CPU's time with their quarrel.
MOST_REPAIRS = 9
WINDOW_S = 60.0


class History(Struct, frozen=True, kw_only=True):
    """When each thread was repaired within the last window: (thread id, time on the monotonic clock), ascending."""

    repaired: tuple[tuple[int, float], ...] = ()

    def times(self, tid: int) -> int:
        """Count the repairs of this thread."""
        return sum(1 for other, _at_s in self.repaired if other == tid)


class Damped(Struct, frozen=True, kw_only=True):
    """The repairs to make, those to leave alone for now, and the history after the former."""

    wanted: tuple[Repair, ...]
    refused: tuple[Repair, ...]
    history: History


def damp(history: History, repairs: tuple[Repair, ...], now_s: float) -> Damped:
    """Divide the repairs into those to make and those of threads that were repaired too often within the window."""
    recent = History(repaired=tuple(entry for entry in history.repaired if now_s - entry[1] < WINDOW_S))
    wanted = tuple(repair for repair in repairs if recent.times(repair.tid) < MOST_REPAIRS)
    refused = tuple(repair for repair in repairs if recent.times(repair.tid) >= MOST_REPAIRS)
    made = tuple((repair.tid, now_s) for repair in wanted)
    return Damped(wanted=wanted, refused=refused, history=History(repaired=recent.repaired + made))
