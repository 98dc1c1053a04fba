"""What a guest causes many times a second is told at once, and then counted."""

from __future__ import annotations

from launcher.supervise.throttle import INTERVAL_S, Throttle


def test_the_first_is_told_at_once_and_the_others_are_counted_until_it_is_time() -> None:
    throttle = Throttle()
    assert [throttle.admits("disk", 0.1 * i) for i in range(50)] == [True] + [False] * 49
    assert throttle.due(INTERVAL_S - 0.1) == ()
    assert throttle.due(INTERVAL_S) == (("disk", 49),)
    assert throttle.due(INTERVAL_S) == ()


def test_what_goes_on_is_told_once_every_interval_and_what_has_stopped_is_told_at_once_again() -> None:
    throttle = Throttle()
    told, seconds = 0, 60
    for i in range(seconds * 20):
        told += throttle.admits("disk", i / 20)
        told += len(throttle.due(i / 20))
    assert told <= seconds / INTERVAL_S + 1
    assert sum(count for _words, count in throttle.due(seconds + INTERVAL_S)) > 0
    assert throttle.due(seconds + 2 * INTERVAL_S) == ()
    assert throttle.admits("disk", seconds + 2 * INTERVAL_S)


def test_the_next_thing_to_tell_is_due_when_its_interval_ends() -> None:
    throttle = Throttle()
    before = throttle.due_at_s()
    throttle.admits("disk", 1.0)
    throttle.admits("network", 3.0)
    assert (before, throttle.due_at_s()) == (None, 1.0 + INTERVAL_S)
    throttle.due(1.0 + INTERVAL_S)
    assert throttle.due_at_s() == 3.0 + INTERVAL_S


def test_what_was_counted_is_told_at_the_end() -> None:
    throttle = Throttle()
    throttle.admits("disk", 0.0)
    throttle.admits("disk", 0.1)
    assert throttle.due(0.2, all_=True) == (("disk", 1),)


def test_ever_new_words_are_counted_together() -> None:
    throttle = Throttle()
    told = sum(throttle.admits(f"disk {i}", 0.0) for i in range(1000))
    assert told == 32
    assert throttle.due(INTERVAL_S) == (("others", 967),)
