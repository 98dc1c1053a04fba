"""The watch over a process that looks like QEMU: its end is no drift, its standstill is told."""

from __future__ import annotations

import logging
import os
import signal

import pytest

from launcher.cpuset import CPUSet
from launcher.planner.model import Pinning
from launcher.supervise.pinning_watch import PinningWatch
from tests.faults.places import wait_until
from tests.observability.processes import qemu_like
from tests.processes import state_of

CPU = min(os.sched_getaffinity(0))
OWN = CPUSet.of([CPU])
PINNING = Pinning(cpuset=OWN, source="test", vcpus=(), emulator=OWN)
QEMU = (f"qemu-system-x86={CPU}", f"CPU 0/TCG={CPU}")


class NoPinner:
    """Where nothing differs nothing is to be put right."""

    def pin_vcpu(self, vcpu: int, cpus: CPUSet) -> None:
        raise AssertionError(vcpu)

    def pin_iothread(self, iothread: int, cpus: CPUSet) -> None:
        raise AssertionError(iothread)

    def pin_emulator(self, cpus: CPUSet) -> None:
        raise AssertionError(cpus)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().partition(":")[0] for record in caplog.records if record.levelno >= logging.INFO]


def test_a_qemu_that_has_ended_and_is_not_reaped_has_not_drifted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with qemu_like(*QEMU) as pid:
        watch = PinningWatch(pid, PINNING, vcpus=1)
        watch.look_for_drift(NoPinner(), has_ended=False)
        before = watch.found
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: state_of(pid) == "Z", "it is a zombie")
        watch.look_for_drift(NoPinner(), has_ended=False)
    assert (before, watch.found, told(caplog)) == ((), (), [])


def test_a_qemu_that_lives_and_lacks_a_vcpu_has_drifted(caplog: pytest.LogCaptureFixture) -> None:
    with qemu_like(QEMU[0]) as pid:
        watch = PinningWatch(pid, PINNING, vcpus=1)
        watch.look_for_drift(NoPinner(), has_ended=False)
    assert (len(watch.found), told(caplog)) == (1, ["drifted"])


def test_a_stop_is_told_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with qemu_like(*QEMU) as pid:
        watch = PinningWatch(pid, PINNING, vcpus=1)
        seen = []
        for number, letters in ((None, "SR"), (signal.SIGSTOP, "T"), (None, "T"), (signal.SIGCONT, "SR")):
            if number is not None:
                os.kill(pid, number)
            wait_until(lambda letters=letters: state_of(pid) in letters, f"its state is one of {letters}")  # type: ignore[misc]
            watch.look_for_stop()
            seen.append(watch.is_stopped)
    assert (seen, told(caplog)) == ([False, True, True, False], ["stopped", "continued"])
