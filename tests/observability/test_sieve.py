"""What QEMU says because a guest wants it to, at once and then a few lines a second."""

from __future__ import annotations

from launcher.observe.sieve import BURST, LINES_A_SECOND, Sieve


def test_an_ordinary_life_loses_no_line() -> None:
    sieve = Sieve()
    assert all(sieve.admits(0.0) for _ in range(BURST))
    assert sieve.take_withheld() == 0


def test_a_flood_is_let_through_by_and_by_and_the_rest_is_counted() -> None:
    sieve = Sieve()
    lines = 10_000
    told = sum(sieve.admits(number / 1000) for number in range(lines))
    assert BURST <= told <= BURST + lines / 1000 * LINES_A_SECOND + 1
    assert sieve.take_withheld() == lines - told
    assert sieve.take_withheld() == 0


def test_after_a_quiet_time_everything_is_told_again() -> None:
    sieve = Sieve(burst=3)
    assert [sieve.admits(0.0) for _ in range(4)] == [True, True, True, False]
    assert [sieve.admits(1000.0) for _ in range(4)] == [True, True, True, False]
    assert sieve.take_withheld() == 2


def test_a_clock_that_stands_still_gives_no_credit() -> None:
    sieve = Sieve(burst=1)
    assert [sieve.admits(5.0) for _ in range(3)] == [True, False, False]
