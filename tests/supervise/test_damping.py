"""Damping: the tenth repair of one thread within a minute is left alone."""

from __future__ import annotations

from launcher.cpuset import CPUSet
from launcher.supervise.damping import MOST_REPAIRS, WINDOW_S, History, damp
from launcher.supervise.drift import Repair
from launcher.supervise.roles import Role, ThreadKind


def _repair(tid: int) -> Repair:
    return Repair(role=Role(kind=ThreadKind.VCPU, number=tid), tid=tid, cpus=CPUSet.of((tid,)))


def _after(times: int, *, every_s: float) -> History:
    history = History()
    for turn in range(times):
        history = damp(history, (_repair(1),), turn * every_s).history
    return history


def test_the_tenth_repair_of_a_thread_within_a_minute_is_refused_and_others_are_not() -> None:
    assert MOST_REPAIRS == 9
    damped = damp(_after(9, every_s=1.0), (_repair(1), _repair(2)), 9.0)
    assert (damped.wanted, damped.refused) == ((_repair(2),), (_repair(1),))


def test_the_ninth_repair_is_made() -> None:
    assert damp(_after(8, every_s=1.0), (_repair(1),), 8.0).refused == ()


def test_a_refused_repair_is_made_again_once_the_window_has_moved_on() -> None:
    history = _after(9, every_s=1.0)
    assert damp(history, (_repair(1),), WINDOW_S - 0.1).wanted == ()
    assert damp(history, (_repair(1),), WINDOW_S + 0.1).wanted == (_repair(1),)


def test_repairs_a_minute_apart_are_never_refused() -> None:
    assert damp(_after(40, every_s=WINDOW_S), (_repair(1),), 40 * WINDOW_S).refused == ()


def test_the_history_does_not_grow_without_bound() -> None:
    assert len(_after(1000, every_s=10.0).repaired) <= WINDOW_S / 10 + 1
