"""The adapter against libvirt's own test driver, in this process: every call that this driver has, and every event."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import libvirt
import pytest

from launcher.cpuset import CPUSet
from launcher.domain.identity import plan_record
from launcher.domain.read import read_has_run, read_pins, read_plan
from launcher.errors import HypervisorError
from launcher.hypervisor.libvirt_driver import LibvirtHypervisor, LibvirtMachine, start_event_loop, start_timeout_s
from launcher.hypervisor.protocol import (
    EndReason,
    MachineEnded,
    MachineEvent,
    MachinePaused,
    MachineResumed,
    MachineState,
)
from launcher.planner.model import Pinning
from tests.faults.places import PATIENCE_S

# libvirt's test driver: one domain that all connections of this process share, and is forgotten with the last of them.
URI, NAME = "test:///default", "test"
# Or else what a file says, each connection for itself.
DOMAIN = """<domain type='test'><name>NAME</name><memory>8192</memory><vcpu>2</vcpu>
<os><type>hvm</type></os></domain>"""
NODE = f"<node>{DOMAIN.replace('NAME', 'test')}</node>"
BOTH, FIRST = CPUSet.of((0, 1)), CPUSet.of((0,))

Events = queue.SimpleQueue[MachineEvent]


@pytest.fixture(scope="module")
def event_loop() -> None:
    start_event_loop()


@pytest.fixture
def events() -> Events:
    return queue.SimpleQueue()


@pytest.fixture
def hypervisor(event_loop: None, events: Events, tmp_path: Path) -> Iterator[LibvirtHypervisor]:
    node = tmp_path / "node.xml"
    node.write_text(NODE)
    opened = LibvirtHypervisor(f"test://{node}", events.put)
    yield opened
    opened.close()


@pytest.fixture
def machine(hypervisor: LibvirtHypervisor) -> LibvirtMachine:
    found = hypervisor.find(NAME)
    assert found is not None
    hypervisor.follow(found)
    return found


def test_a_guest_of_a_tebibyte_has_the_time_to_get_its_memory() -> None:
    """QEMU answers once the kernel has cleared all of its huge pages, some GiB a second."""
    assert start_timeout_s(1 << 40) - start_timeout_s(1 << 30) == 1023


def test_a_domain_is_found_by_its_name(machine: LibvirtMachine) -> None:
    assert (machine.name, machine.state()) == (NAME, MachineState.RUNNING)
    assert machine.uuid in machine.xml()


def test_a_domain_that_is_not_there_is_none(hypervisor: LibvirtHypervisor) -> None:
    assert hypervisor.find("nobody") is None


def test_a_domain_that_is_only_defined_is_none(hypervisor: LibvirtHypervisor, machine: LibvirtMachine) -> None:
    machine.destroy()
    assert hypervisor.find(NAME) is None


def test_the_other_domains_are_those_that_run(hypervisor: LibvirtHypervisor, machine: LibvirtMachine) -> None:
    assert hypervisor.others(NAME) == ()
    assert [other.uuid for other in hypervisor.others("nobody")] == [machine.uuid]
    machine.destroy()
    assert hypervisor.others("nobody") == ()


def test_what_is_done_to_a_machine_comes_back_as_events(machine: LibvirtMachine, events: Events) -> None:
    machine.pause()
    assert (machine.state(), events.get(timeout=PATIENCE_S)) == (MachineState.PAUSED, MachinePaused(reason="asked for"))
    machine.resume()
    assert (machine.state(), events.get(timeout=PATIENCE_S)) == (MachineState.RUNNING, MachineResumed())
    machine.destroy()
    ended = MachineEnded(reason=EndReason.DESTROYED)
    assert (machine.state(), events.get(timeout=PATIENCE_S)) == (MachineState.ENDED, ended)


@pytest.fixture
def creating(monkeypatch: pytest.MonkeyPatch) -> list[CPUSet]:
    """List the CPUs of each thread that starts a guest; this driver knows of none that starts paused."""
    seen: list[CPUSet] = []
    create = libvirt.virConnect.createXML

    def create_running(connection: object, xml: str, flags: int) -> object:
        seen.append(CPUSet.of(os.sched_getaffinity(0)))
        return create(connection, xml, flags & ~libvirt.VIR_DOMAIN_START_PAUSED)

    monkeypatch.setattr(libvirt.virConnect, "createXML", create_running)
    return seen


@pytest.mark.parametrize("wanted", [FIRST, CPUSet.of((1,)), BOTH])
def test_the_thread_that_starts_a_guest_is_on_the_launchers_cpus_and_no_other_is_moved(
    hypervisor: LibvirtHypervisor, creating: list[CPUSet], wanted: CPUSet
) -> None:
    """libvirt's own thread for this QEMU, and what it starts beside it, begin where that thread is."""
    before = affinities()
    started = hypervisor.start_paused("two", DOMAIN.replace("NAME", "two"), memory_bytes=1 << 23, cpus=wanted)
    assert (started.state(), creating) == (MachineState.RUNNING, [wanted])
    assert before.items() <= affinities().items()


def affinities() -> dict[int, CPUSet]:
    """Return the CPUs of this process's threads by their id, but for those that end with a call."""
    threads = (thread for thread in threading.enumerate() if not thread.name.startswith("call-"))
    return {tid: CPUSet.of(os.sched_getaffinity(tid)) for tid in (thread.native_id for thread in threads) if tid}


def test_a_guest_is_started_though_a_cpu_of_the_launchers_has_just_left(
    hypervisor: LibvirtHypervisor, creating: list[CPUSet]
) -> None:
    gone = CPUSet.of((4095,))
    started = hypervisor.start_paused("two", DOMAIN.replace("NAME", "two"), memory_bytes=1 << 23, cpus=gone)
    assert (started.state(), len(creating)) == (MachineState.RUNNING, 1)


def opened_anew(events: Events) -> LibvirtHypervisor:
    """Open the shared connection as nobody has used it.

    An earlier one is gone a moment after it was closed: the thread of the events may still hold it.
    """
    ends_s = time.monotonic() + PATIENCE_S
    while True:
        opened = LibvirtHypervisor(URI, events.put)
        if opened.find(NAME) is not None:
            return opened
        opened.close()
        assert time.monotonic() < ends_s, "an earlier connection is still there"
        time.sleep(0.01)


def test_a_closed_connection_is_gone_and_all_that_was_done_with_it(event_loop: None, events: Events) -> None:
    for _time in range(3):
        opened = opened_anew(events)
        machine = opened.find(NAME)
        assert machine is not None
        opened.follow(machine)
        machine.destroy()
        assert events.get(timeout=PATIENCE_S) == MachineEnded(reason=EndReason.DESTROYED)
        opened.close()
        del machine, opened


def test_a_closed_connection_calls_nobody_back(event_loop: None, events: Events) -> None:
    heard: Events = queue.SimpleQueue()
    closed, opened = opened_anew(heard), LibvirtHypervisor(URI, events.put)
    found = closed.find(NAME)
    assert found is not None
    closed.follow(found)
    del found
    closed.close()
    machine = opened.find(NAME)
    assert machine is not None
    opened.follow(machine)
    machine.destroy()
    assert events.get(timeout=PATIENCE_S) == MachineEnded(reason=EndReason.DESTROYED)
    opened.close()
    assert heard.empty()


def test_pins_are_what_the_domains_configuration_says_afterwards(machine: LibvirtMachine) -> None:
    machine.pin_vcpu(1, FIRST)
    machine.pin_emulator(BOTH)
    pins = read_pins(machine.xml())
    assert (dict(pins.vcpus)[1], pins.emulator) == (FIRST, BOTH)


def test_the_plan_and_the_mark_are_kept_and_replaced_in_the_metadata(machine: LibvirtMachine) -> None:
    first = Pinning(cpuset=FIRST, source="x", vcpus=(), emulator=FIRST, iothreads=())
    second = Pinning(cpuset=BOTH, source="x", vcpus=(), emulator=BOTH, iothreads=())
    assert (read_plan(machine.xml()), read_has_run(machine.xml())) == (None, False)
    machine.record_plan(plan_record(first))
    assert (read_plan(machine.xml()), read_has_run(machine.xml())) == (first, False)
    machine.record_plan(plan_record(second))
    machine.record_run()
    machine.record_run()
    assert (read_plan(machine.xml()), read_has_run(machine.xml())) == (second, True)


def test_a_driver_that_knows_no_run_state_says_so(machine: LibvirtMachine) -> None:
    machine.pause()
    assert machine.has_run() is None


def test_destroying_what_is_gone_already_is_no_error(machine: LibvirtMachine) -> None:
    machine.destroy()
    machine.destroy()


ERRORS: dict[str, tuple[Callable[[LibvirtMachine], object], str]] = {
    "an IOThread that is not there": (lambda m: m.pin_iothread(7, FIRST), "pin of iothread 7: .*7 not found"),
    "a call that the driver does not have": (lambda m: m.ask_to_shut_down(), "shutdown of test: unsupported flags"),
    "a record that is no XML": (lambda m: m.record_plan("<plan"), "record of the plan: "),
}


@pytest.mark.parametrize(("call", "words"), ERRORS.values(), ids=ERRORS.keys())
def test_an_error_is_one_line_that_says_what_failed(
    machine: LibvirtMachine, call: Callable[[LibvirtMachine], object], words: str
) -> None:
    with pytest.raises(HypervisorError, match=words) as caught:
        call(machine)
    assert "\n" not in str(caught.value)


def test_a_call_to_a_machine_that_has_ended_is_an_error(machine: LibvirtMachine) -> None:
    machine.destroy()
    with pytest.raises(HypervisorError, match=r"^pause of test: .*not running"):
        machine.pause()


def test_a_uri_that_nobody_serves_is_an_error_that_names_it(event_loop: None, events: Events) -> None:
    with pytest.raises(HypervisorError, match=r"^open nonsense:///x: "):
        LibvirtHypervisor("nonsense:///x", events.put)


def test_a_connection_that_lives_is_not_opened_a_second_time(
    hypervisor: LibvirtHypervisor, machine: LibvirtMachine
) -> None:
    machine.pause()
    # A new connection would begin anew, with a running domain.
    again = hypervisor.find_again(NAME)
    assert again is not None
    assert (again.uuid, again.state()) == (machine.uuid, MachineState.PAUSED)


def test_a_closed_connection_finds_nothing_and_may_be_closed_again(event_loop: None, events: Events) -> None:
    opened = LibvirtHypervisor(URI, events.put)
    opened.close()
    opened.close()
    with pytest.raises(HypervisorError):
        opened.find(NAME)
