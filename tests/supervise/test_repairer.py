"""The hand that repairs: at once where the kernel lets it, and never held up by a libvirt that hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from launcher.cpuset import CPUSet
from launcher.errors import HypervisorError
from launcher.hypervisor.deadline import DeadlineExceeded
from launcher.supervise.drift import Repair
from launcher.supervise.repairer import Repairer
from launcher.supervise.roles import Role, ThreadKind

FIRST = CPUSet.of((0,))


def repair(vcpu: int) -> Repair:
    return Repair(role=Role(kind=ThreadKind.VCPU, number=vcpu), tid=100 + vcpu, cpus=FIRST)


EIGHT = tuple(repair(vcpu) for vcpu in range(8))


def of_another_user(tid: int, _cpus: CPUSet) -> None:
    """Refuse as sched_setaffinity(2) does for a QEMU of another user."""
    raise PermissionError(1, "Operation not permitted", str(tid))


class Libvirt:
    """A libvirt that does to each vCPU what it is told to, and remembers which it was asked for."""

    def __init__(self, pin: Callable[[], None] = lambda: None) -> None:
        self._pin = pin
        self.asked: list[int] = []

    def pin_vcpu(self, vcpu: int, _cpus: CPUSet) -> None:
        self.asked.append(vcpu)
        self._pin()

    def pin_iothread(self, _iothread: int, _cpus: CPUSet) -> None:
        raise HypervisorError("no such IOThread")

    def pin_emulator(self, _cpus: CPUSet) -> None:
        self._pin()


def test_what_the_kernel_lets_us_do_is_done_without_libvirt() -> None:
    libvirt, done = Libvirt(), []
    repairer = Repairer(lambda tid, cpus: done.append((tid, cpus)))
    assert repairer.put_right(libvirt, EIGHT, timeout_s=60) == EIGHT
    assert (len(done), libvirt.asked) == (8, [])


def test_libvirt_is_asked_for_the_threads_of_another_user() -> None:
    libvirt = Libvirt()
    assert Repairer(of_another_user).put_right(libvirt, EIGHT, timeout_s=60) == EIGHT
    assert libvirt.asked == list(range(8))


def test_a_libvirt_that_hangs_holds_up_one_thread_and_no_round_for_long() -> None:
    goes_on = threading.Event()

    def hang() -> None:
        goes_on.wait(60)

    libvirt = Libvirt(hang)
    repairer = Repairer(of_another_user)
    for _round in range(3):
        assert repairer.put_right(libvirt, EIGHT, timeout_s=0.01) == ()
    assert libvirt.asked == [0], "one call is under way, and no other is begun"
    goes_on.set()
    done = repairer.put_right(libvirt, (repair(8),), timeout_s=60)
    assert done == (*EIGHT, repair(8)), "what was begun goes on, and is told later"


def test_after_one_call_over_its_deadline_the_others_are_left_for_the_next_round(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def overrun() -> None:
        raise DeadlineExceeded("pin of vcpu 0: no answer within 10 s")

    libvirt = Libvirt(overrun)
    assert Repairer(of_another_user).put_right(libvirt, EIGHT, timeout_s=60) == ()
    assert libvirt.asked == [0]
    assert "not repaired: vcpu 0 to CPU 0: pin of vcpu 0: no answer within 10 s" in caplog.text


def test_a_thread_that_libvirt_refuses_does_not_keep_the_others_from_theirs() -> None:
    refused = Repair(role=Role(kind=ThreadKind.IOTHREAD, number=1), tid=99, cpus=FIRST)
    worker = Repair(role=Role(kind=ThreadKind.WORKER), tid=98, cpus=FIRST)
    done = Repairer(of_another_user).put_right(Libvirt(), (refused, worker, *EIGHT), timeout_s=60)
    assert done == EIGHT
