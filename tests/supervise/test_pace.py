"""The pace of the watch: what is spent decides, and whether something has just moved."""

from __future__ import annotations

import pytest

from launcher.supervise.pace import (
    ALERT_S,
    FASTEST_S,
    SHARE,
    SHARE_PER_VCPU,
    SLOWEST_S,
    WINDOW_S,
    Pace,
    affordable_s,
)

QUIET_S = 1000.0


@pytest.mark.parametrize(
    ("interval_s", "spent", "share", "expected_s"),
    [
        (0.5, 0.0002, 0.0002, 0.5),
        (0.5, 0.0001, 0.0002, FASTEST_S),
        (0.25, 0.0004, 0.0002, 0.5),
        (0.5, 0.01, 0.0002, SLOWEST_S),
        (0.75, 0.0, 0.0002, FASTEST_S),
    ],
    ids=["as agreed stays", "cheap is fast", "dear is slow", "never slower than promised", "free is fast"],
)
def test_the_interval_is_what_the_share_affords(
    interval_s: float, spent: float, share: float, expected_s: float
) -> None:
    assert affordable_s(interval_s, spent, share) == pytest.approx(expected_s)


def quiet_pace(glance_s: float, other: float, vcpus: int) -> float:
    """Let a quiet watch go on whose glances take so long, beside what is spent anyhow; return where it comes to."""
    pace, now_s, cpu_s = Pace(vcpus), QUIET_S, 7.0
    for _window in range(20):
        pace.note_spent(cpu_s, now_s)
        now_s += WINDOW_S
        cpu_s += WINDOW_S * (glance_s / pace.interval_s(now_s) + other)
    return pace.interval_s(now_s)


@pytest.mark.parametrize(
    ("glance_s", "other", "vcpus", "expected_s"),
    [
        (15e-6, 0.0, 2, FASTEST_S),
        (80e-6, 0.0, 4, 80e-6 / (SHARE + 4 * SHARE_PER_VCPU)),
        (80e-6, 0.00004, 4, 80e-6 / (SHARE + 4 * SHARE_PER_VCPU - 0.00004)),
        (200e-6, 0.0, 64, 200e-6 / (SHARE + 64 * SHARE_PER_VCPU)),
        (400e-6, 0.0, 2, SLOWEST_S),
        (80e-6, 0.01, 2, SLOWEST_S),
    ],
    ids=["a fast machine", "a slow one", "other work", "many vCPUs", "a very slow one", "a busy loop"],
)
def test_a_quiet_watch_comes_to_the_pace_that_it_can_afford(
    glance_s: float, other: float, vcpus: int, expected_s: float
) -> None:
    assert quiet_pace(glance_s, other, vcpus) == pytest.approx(expected_s, rel=0.02)


def test_where_something_moved_it_is_fast_for_a_while_whatever_it_costs() -> None:
    pace = Pace(2)
    pace.note_moved(QUIET_S)
    seen = [pace.interval_s(QUIET_S + after_s) for after_s in (0.0, ALERT_S - 0.1, ALERT_S)]
    assert seen == [FASTEST_S, FASTEST_S, SLOWEST_S]


def test_what_was_spent_in_an_alert_decides_nothing() -> None:
    pace = Pace(2)
    pace.note_moved(QUIET_S)
    for window in range(3):
        pace.note_spent(0.0, QUIET_S + window * WINDOW_S)
    # The window began in the alert.
    pace.note_spent(0.0, QUIET_S + ALERT_S + WINDOW_S)
    before = pace.interval_s(QUIET_S + ALERT_S + WINDOW_S)
    pace.note_spent(0.0, QUIET_S + ALERT_S + 2 * WINDOW_S)
    assert (before, pace.interval_s(QUIET_S + ALERT_S + 2 * WINDOW_S)) == (SLOWEST_S, FASTEST_S)
