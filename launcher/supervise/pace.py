"""The pace of the watch: how often threads and cpuset are glanced at, by what that costs and by what has just moved."""

from __future__ import annotations

# Drift is to be repaired within a second: that leaves a quarter of it for a busy machine.
SLOWEST_S = 0.75
# Faster than this nobody needs it.
FASTEST_S = 0.25
# Where something has just moved, more may: a guest that starts, a thread that somebody moves, a cpuset that is
# rewritten. So long it is glanced at as often as can be.
ALERT_S = 10.0
# All of an idle loop's work takes this part of one CPU, and so much more for each vCPU, whose threads take time to look
# at: 0.018 % with 4 vCPUs, 0.048 % with 64. A glance costs 15 us on a machine of its own, and ten times that in a
# virtual machine among busy ones, most of it the waking up.
SHARE = 0.00016
SHARE_PER_VCPU = 0.000005
# What is spent is read over so long.
WINDOW_S = 4.0


class Pace:
    """Decides how long to wait until the next glance: as long as is affordable, and not at all as long in an alert.

    Its times are on the monotonic clock; the CPU time is that of the thread which glances, whatever else it did.
    """

    def __init__(self, vcpus: int) -> None:
        """Begin slowly, with a guest of so many vCPUs."""
        self._share = SHARE + vcpus * SHARE_PER_VCPU
        self._quiet_s = SLOWEST_S
        self._alert_until_s = 0.0
        # When what was spent was read last, and how much it was in all.
        self._since: tuple[float, float] | None = None

    def interval_s(self, now_s: float) -> float:
        """Return how long to wait from now on."""
        return FASTEST_S if now_s < self._alert_until_s else self._quiet_s

    def note_moved(self, now_s: float) -> None:
        """Note that something has just moved."""
        self._alert_until_s = now_s + ALERT_S

    def note_spent(self, cpu_s: float, now_s: float) -> None:
        """Note how much CPU time was spent in all by now; what was spent in an alert decides nothing."""
        since_s, before_s = self._since or (now_s, cpu_s)
        if self._since is not None and now_s - since_s < WINDOW_S:
            return
        self._since = (now_s, cpu_s)
        if now_s > since_s >= self._alert_until_s:
            self._quiet_s = affordable_s(self._quiet_s, (cpu_s - before_s) / (now_s - since_s), self._share)


def affordable_s(interval_s: float, spent: float, share: float) -> float:
    """Return the interval at which that part of a CPU is spent, where another part was with this interval.

    What else than glances was spent makes this come nearer only, from one window to the next.
    """
    return min(max(interval_s * spent / share, FASTEST_S), SLOWEST_S)
