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
from tests.faults.places import wait_until
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


class Allowed:
    """The CPUs of this process; `is_changed` is what a glance says until they are read again."""

    def __init__(self) -> None:
        self.reads = 0
        self.is_changed = False
        self.is_closed = False

    def read(self) -> AllowedCPUs:
        self.reads += 1
        self.is_changed = False
        return AllowedCPUs(cpus=OWN, source="test")

    def has_changed(self) -> bool:
        return self.is_changed

    def close(self) -> None:
        self.is_closed = True


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


def run(process: QEMUProcess, record_run: Callable[[], None], allowed: Allowed | None = None) -> Outcome:
    """Supervise the process from its proof to its end."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    machine = Machine(events, record_run)
    assignment = Assignment(
        namespace="prod",
        name="db",
        virt_type="qemu",
        machine=machine,
        process=process,
        pinning=PINNING,
        vcpus=1,
        allowed=allowed or Allowed(),
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


def test_a_thread_that_is_moved_between_two_looks_is_seen_and_put_back(
    process: QEMUProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(OWN) > 1, "a thread is to be moved, which needs two CPUs"
    for name in ("LOOK_INTERVAL_S", "BEAT_INTERVAL_S"):
        monkeypatch.setattr(supervisor, name, 600.0)
    is_put_back: list[bool] = []

    def record_run() -> None:
        # The first may be seen by the look that follows the start, the others by nothing but a glance.
        for _time in range(3):
            os.sched_setaffinity(process.pid, {min(OWN)})
            wait_until(lambda: os.sched_getaffinity(process.pid) == set(OWN), "it is back")
            is_put_back.append(True)
        os.kill(process.pid, signal.SIGKILL)

    run(process, record_run)
    assert is_put_back == [True] * 3


def test_a_cpuset_that_a_glance_sees_changed_is_looked_at(
    process: QEMUProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOOK_INTERVAL_S", "BEAT_INTERVAL_S"):
        monkeypatch.setattr(supervisor, name, 600.0)
    allowed = Allowed()

    def record_run() -> None:
        # More than the looks of the start, which end one by one.
        wait_until(lambda: allowed.reads > 0, "the cpuset is read")
        for _time in range(3):
            before, allowed.is_changed = allowed.reads, True
            wait_until(lambda before=before: allowed.reads > before, "it is read again")  # type: ignore[misc]
        os.kill(process.pid, signal.SIGKILL)

    run(process, record_run, allowed)
    assert (allowed.is_changed, allowed.is_closed) == (False, True)
