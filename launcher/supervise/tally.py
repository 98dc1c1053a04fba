"""The counts that the watch keeps: drifts and repairs by the kind of thread."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from launcher.supervise.roles import ThreadKind
from launcher.supervise.snapshot import Count


class Tally(Struct, frozen=True, kw_only=True):
    """What has happened since the launcher took over; every kind of thread is listed from the beginning."""

    drifts: tuple[Count, ...] = tuple(Count(kind=kind, times=0) for kind in ThreadKind)
    repairs: tuple[Count, ...] = tuple(Count(kind=kind, times=0) for kind in ThreadKind)

    def with_drift(self, kind: ThreadKind) -> Tally:
        """Return the tally with one drift more."""
        return replace(self, drifts=_one_more(self.drifts, kind))

    def with_repair(self, kind: ThreadKind) -> Tally:
        """Return the tally with one repair more."""
        return replace(self, repairs=_one_more(self.repairs, kind))


def _one_more(counts: tuple[Count, ...], kind: ThreadKind) -> tuple[Count, ...]:
    return tuple(replace(count, times=count.times + 1) if count.kind is kind else count for count in counts)
