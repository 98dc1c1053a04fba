"""The supervisor's loop over a process that looks like QEMU and a hypervisor that says what the test has it say."""

from __future__ import annotations

import os
import queue
import select
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

import pytest

from launcher.cpuset import CPUSet
from launcher.host.model import AllowedCPUs
from launcher.hypervisor.life import Life
from launcher.hypervisor.process import QEMUProcess
from launcher.hypervisor.protocol import MachineResumed, MachineState
from launcher.planner.model import Pinning
from launcher.supervise import supervisor
from launcher.supervise.assignment import Assignment
from launcher.supervise.children import ChildReaper
from launcher.supervise.exclusivity import Grade
from launcher.supervise.lifecycle import Event, Outcome, Started, Timing
from launcher.supervise.snapshot import Exclusivity
from launcher.supervise.supervisor import Supervisor
from tests.observability.processes import UUID, qemu_like

# Without dedicated CPUs every thread may run on all of them, and nothing has to be moved, this process least of all.
OWN = CPUSet.of(os.sched_getaffinity(0))
PINNING = Pinning(cpuset=OWN, source="test", vcpus=(), emulator=OWN)


class Machine:
    """A machine that resumes at once; what it does to record the run is the test's."""

    name = "prod_db"
    uuid = UUID
    life = Life(uuid=UUID, number=1)

    def __init__(self, events: queue.SimpleQueue[Event], record_run: Callable[[], None]) -> None:
        self._events = events
        self.record_run = record_run

    def resume(self) -> None:
        self._events.put(MachineResumed())

    def state(self) -> MachineState:
        return MachineState.RUNNING

    def settle(self) -> None:
        pass

    def has_run(self) -> bool | None:
        return None

    def xml(self) -> str:
        return ""

    def ask_agent(self, _command: str, _timeout_s: int) -> str:
        return ""

    def set_keys(self, user: str, keys: Sequence[str]) -> None:
        pass

    def set_password(self, user: str, password: str) -> None:
        pass

    def pause(self) -> None:
        pass

    def reset(self) -> None:
        pass

    def forward_port(self, alias: str, protocol: str, port: int) -> None:
        raise NotImplementedError

    def record_plan(self, xml: str) -> None:
        pass

    def ask_to_shut_down(self) -> None:
        pass

    def destroy(self) -> None:
        pass

    def vcpu_statistics(self) -> Mapping[str, int]:
        return {}

    def pin_vcpu(self, vcpu: int, cpus: CPUSet) -> None:
        pass

    def pin_iothread(self, iothread: int, cpus: CPUSet) -> None:
        pass

    def pin_emulator(self, cpus: CPUSet) -> None:
        pass


class Reaper:
    """Knows of every process that SIGKILL ended it."""

    def wait_status(self, pid: int) -> int:
        return signal.SIGKILL


@pytest.fixture
def process() -> Iterator[QEMUProcess]:
    """A process with an emulator and one vCPU, which the test kills."""
    cpus = ",".join(map(str, OWN))
    with qemu_like(f"qemu-system-x86={cpus}", f"CPU 0/TCG={cpus}") as pid:
        pidfd = os.pidfd_open(pid)
        yield QEMUProcess(pid=pid, pidfd=pidfd)
        os.close(pidfd)


def run(process: QEMUProcess, record_run: Callable[[], None]) -> Outcome:
    """Supervise the process from its proof to its end."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    allowed = AllowedCPUs(cpus=OWN, source="test")
    machine = Machine(events, record_run)
    assignment = Assignment(
        namespace="prod",
        name="db",
        virt_type="qemu",
        machine=machine,
        process=process,
        pinning=PINNING,
        vcpus=1,
        read_allowed=lambda: allowed,
        replan=lambda pinning, _allowed: pinning,
        record=lambda _pinning: "",
        grade=lambda _cpuset: Grade(exclusivity=Exclusivity.SHARED, reason=""),
        reconnect=lambda: None,
    )
    reaper = cast("ChildReaper", Reaper())
    supervised = Supervisor(
        assignment, events=events, reaper=reaper, timing=Timing(), on_proved=lambda _pinning, _observed: None
    )
    return supervised.run(Started())


def test_a_call_under_way_when_qemu_dies_is_over_before_the_end(
    process: QEMUProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LAST_ERRANDS_S", 60.0)
    is_over = threading.Event()

    def record_run() -> None:
        os.kill(process.pid, signal.SIGKILL)
        select.select([process.pidfd], [], [])
        # The loop has been told of the end by now, or is about to be.
        threading.Event().wait(0.5)
        is_over.set()

    outcome = run(process, record_run)
    assert outcome.reason == "QEMU died: killed by signal 9 (SIGKILL)"
    assert is_over.is_set()


def test_a_call_that_never_comes_back_holds_up_no_end(process: QEMUProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LAST_ERRANDS_S", 0.1)
    is_released = threading.Event()

    def record_run() -> None:
        os.kill(process.pid, signal.SIGKILL)
        is_released.wait()

    assert run(process, record_run).reason == "QEMU died: killed by signal 9 (SIGKILL)"
    is_released.set()
