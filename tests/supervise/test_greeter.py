"""A guest's agent that comes and goes is greeted by one thread at a time, and not more often than every few seconds."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from launcher.supervise.errands import Errands
from launcher.supervise.greeter import INTERVAL_S, Greeter, Visit


class Greeting:
    """A greeting that takes as long as the test wants, and counts."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Event()
        self.count = 0
        self.at_once = 0
        self.most_at_once = 0
        self.asked: list[Visit] = []
        self.is_done = True
        self._lock = threading.Lock()

    def __call__(self, visit: Visit) -> bool:
        with self._lock:
            self.asked.append(visit)
            self.count += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.release()
        self.may_end.wait(20)
        with self._lock:
            self.at_once -= 1
        return self.is_done


@pytest.fixture
def visit() -> Iterator[Greeting]:
    made = Greeting()
    yield made
    made.may_end.set()


def wait_until_idle(greeter: Greeter) -> None:
    for _ in range(2000):
        if not greeter.is_under_way:
            return
        threading.Event().wait(0.005)
    pytest.fail("the greeting never ended")


def test_the_first_agent_is_greeted_at_once(visit: Greeting) -> None:
    greeter = Greeter(visit, Errands())
    greeter.agent_came()
    greeter.look(0.0)
    assert visit.begun.acquire(timeout=20)


def test_an_agent_that_comes_a_thousand_times_while_it_is_greeted_makes_one_thread(visit: Greeting) -> None:
    greeter = Greeter(visit, Errands())
    before = threading.active_count()
    for turn in range(1000):
        greeter.agent_came()
        greeter.look(turn * INTERVAL_S)
    assert visit.begun.acquire(timeout=20)
    assert threading.active_count() <= before + 1
    assert visit.count == 1


def test_the_last_of_many_is_greeted_once_more_when_it_is_time(visit: Greeting) -> None:
    greeter = Greeter(visit, Errands())
    visit.may_end.set()
    greeter.agent_came()
    greeter.look(0.0)
    wait_until_idle(greeter)
    for turn in range(100):
        greeter.agent_came()
        greeter.look(turn * INTERVAL_S / 101)
    assert visit.count == 1
    greeter.look(INTERVAL_S)
    wait_until_idle(greeter)
    assert visit.count == 2
    greeter.look(100 * INTERVAL_S)
    wait_until_idle(greeter)
    assert visit.count == 2


def test_an_agent_that_left_again_is_not_greeted(visit: Greeting) -> None:
    greeter = Greeter(visit, Errands())
    greeter.agent_came()
    greeter.agent_left()
    greeter.look(0.0)
    assert not greeter.is_under_way
    assert visit.count == 0


def test_one_for_whom_no_thread_is_to_be_had_is_greeted_later(visit: Greeting) -> None:
    class NoThread(Errands):
        def begin(self, name: str, call: object) -> None:
            raise RuntimeError("can't start new thread")

    greeter = Greeter(visit, NoThread())
    greeter.agent_came()
    greeter.look(0.0)
    assert greeter.due_at_s(0.0) == INTERVAL_S


def test_the_loop_wakes_for_one_that_waits_and_for_nothing_else(visit: Greeting) -> None:
    greeter = Greeter(visit, Errands())
    visit.may_end.set()
    assert greeter.due_at_s(3.0) is None
    greeter.agent_came()
    assert greeter.due_at_s(3.0) == 3.0
    greeter.look(3.0)
    wait_until_idle(greeter)
    assert greeter.due_at_s(3.0) is None
    greeter.agent_came()
    assert greeter.due_at_s(3.5) == 3.0 + INTERVAL_S


def test_what_is_left_is_asked_again_with_growing_pauses_until_it_is_done(visit: Greeting) -> None:
    greeter = Greeter(visit, Errands())
    visit.may_end.set()
    visit.is_done = False
    greeter.agent_came()
    due_s: list[float] = []
    for _turn in range(8):
        due_s.append(greeter.due_at_s(0.0) or 0.0)
        greeter.look(due_s[-1])
        wait_until_idle(greeter)
    assert due_s == [0.0, 10.0, 30.0, 70.0, 150.0, 310.0, 630.0, 950.0]
    assert visit.asked == [Visit.FIRST] + 7 * [Visit.AGAIN]
    visit.is_done = True
    greeter.look(2000.0)
    wait_until_idle(greeter)
    assert greeter.due_at_s(3000.0) is None


def test_what_is_left_is_not_asked_of_an_agent_that_left_and_all_is_of_the_next(visit: Greeting) -> None:
    greeter = Greeter(visit, Errands())
    visit.is_done = False
    greeter.agent_came()
    greeter.look(0.0)
    greeter.agent_left()
    visit.may_end.set()
    wait_until_idle(greeter)
    assert greeter.due_at_s(100.0) is None
    greeter.agent_came()
    greeter.look(100.0)
    wait_until_idle(greeter)
    assert visit.asked == [Visit.FIRST, Visit.FIRST]


def test_a_guest_without_anything_to_be_set_has_no_visits() -> None:
    greeter = Greeter(None, Errands())
    greeter.agent_came()
    greeter.look(0.0)
    assert greeter.due_at_s(0.0) is None
    assert not greeter.is_under_way
