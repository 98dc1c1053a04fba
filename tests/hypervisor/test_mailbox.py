"""Events of one life of a machine, told apart from those of the lives before it."""

from __future__ import annotations

import queue

import pytest

from launcher.hypervisor.life import Life
from launcher.hypervisor.mailbox import Mailbox
from launcher.hypervisor.protocol import EndReason, MachineEnded, MachineEvent, MachineResumed

OLD, NEW = Life(uuid="a", number=1), Life(uuid="a", number=2)
OVER, STRANGER = Life(uuid="a", number=-1), Life(uuid="b", number=2)
END = MachineEnded(reason=EndReason.POWERED_OFF)

Events = queue.SimpleQueue[MachineEvent]


def mailbox(events: Events, *, has_ended: bool = False) -> Mailbox:
    return Mailbox(events.put, lambda _life: has_ended)


@pytest.mark.parametrize("other", [OLD, STRANGER], ids=["an earlier life of the same UUID", "another machine"])
def test_an_event_of_another_life_is_not_handed_on_whenever_it_comes(other: Life) -> None:
    events: Events = queue.SimpleQueue()
    box = mailbox(events, has_ended=True)
    box.put(other, END)
    box.follow(NEW)
    box.put(other, END)
    assert events.empty()


def test_what_came_before_a_machine_is_followed_is_handed_on_in_order() -> None:
    events: Events = queue.SimpleQueue()
    box = mailbox(events)
    box.put(NEW, MachineResumed())
    box.put(NEW, END)
    assert events.empty()
    box.follow(NEW)
    assert [events.get_nowait(), events.get_nowait()] == [MachineResumed(), END]


@pytest.mark.parametrize("is_before", [True, False], ids=["before it is followed", "while it is followed"])
def test_an_end_that_does_not_say_whose_it_is_counts_where_the_machine_is_gone(*, is_before: bool) -> None:
    events: Events = queue.SimpleQueue()
    box = mailbox(events, has_ended=True)
    if is_before:
        box.put(OVER, END)
    box.follow(NEW)
    if not is_before:
        box.put(OVER, END)
    assert events.get(timeout=10) == END


def test_an_end_that_does_not_say_whose_it_is_was_another_ones_where_the_machine_is_there() -> None:
    events: Events = queue.SimpleQueue()
    box = mailbox(events, has_ended=False)
    box.follow(NEW)
    box.put(OVER, END)
    with pytest.raises(queue.Empty):
        events.get(timeout=0.2)
