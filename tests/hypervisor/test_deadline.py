"""Deadlines: a call that never returns is given up on."""

from __future__ import annotations

import threading
import time

import pytest

from launcher.hypervisor import deadline
from launcher.hypervisor.deadline import Call, CallAbandoned, DeadlineExceeded


def test_the_result_of_a_call_is_handed_over() -> None:
    assert Call("sum", lambda: 1 + 1).result(5.0) == 2


def test_the_error_of_a_call_is_raised_where_it_was_made() -> None:
    def fail() -> None:
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        Call("failure", fail).result(5.0)


def test_a_call_that_does_not_return_is_given_up_on_and_named() -> None:
    release = threading.Event()
    call = Call("resume of demo", release.wait)
    with pytest.raises(DeadlineExceeded, match=r"^resume of demo: no answer within 0\.05 s$"):
        call.result(0.05)
    assert not call.is_over
    release.set()
    assert call.result(30.0) is True, "it went on"


def test_a_call_that_takes_long_is_left_soon_after_somebody_wants_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "STOP_PATIENCE_S", 0.3)
    release, asked = threading.Event(), iter((False, False, True, True))
    call = Call("open x", release.wait)
    with pytest.raises(CallAbandoned, match=r"^stopped before the guest ran: open x had no answer within 0\.3 s more$"):
        call.result(30.0, lambda: next(asked, True))
    release.set()


def test_a_call_that_is_over_soon_after_somebody_wants_the_end_is_not_left() -> None:
    assert Call("open x", lambda: time.sleep(0.3)).result(30.0, lambda: True) is None


def test_a_deadline_holds_where_nobody_wants_the_end() -> None:
    release = threading.Event()
    with pytest.raises(DeadlineExceeded):
        Call("open x", release.wait).result(0.2, lambda: False)
    release.set()
