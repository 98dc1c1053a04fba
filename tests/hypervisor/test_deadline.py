"""Deadlines: a call that never returns is given up on."""

from __future__ import annotations

import threading

import pytest

from launcher.hypervisor.deadline import DeadlineExceeded, call_within


def test_the_result_of_a_call_is_handed_over() -> None:
    assert call_within(5.0, "sum", lambda: 1 + 1) == 2


def test_the_error_of_a_call_is_raised_where_it_was_made() -> None:
    def fail() -> None:
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        call_within(5.0, "failure", fail)


def test_a_call_that_does_not_return_is_given_up_on_and_named() -> None:
    release = threading.Event()
    with pytest.raises(DeadlineExceeded, match=r"^resume of demo: no answer within 0\.05 s$"):
        call_within(0.05, "resume of demo", release.wait)
    release.set()
