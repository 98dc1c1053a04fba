"""The beginning of a run: the guest is adopted from an earlier launcher, or planned, rendered and started paused."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from launcher.cli.evidence import check_exclusive
from launcher.cli.machine import (
    check_kvm,
    mounts_of,
    native_arch,
    own_affinity,
    root_of,
    this_machine,
    virt_type_of,
)
from launcher.cli.orders import DomainOrder, DomainRecord
from launcher.cli.workshop import Workshop
from launcher.domain.names import domain_name
from launcher.errors import DoesNotFit, GuestDestroyed, HypervisorError
from launcher.host.cgroup import read_allowed_cpus
from launcher.host.sysfs import read_host
from launcher.hypervisor.capability import prepare_capabilities
from launcher.hypervisor.protocol import Hypervisor, Machine, MachineState
from launcher.observe.outlet import Outlet
from launcher.planner.model import Pinning
from launcher.planner.plan import plan
from launcher.supervise.lifecycle import Adopted, Event, Started
from launcher.supervise.settle import settle
from launcher.supervise.stopwatch import Stopwatch
from launcher.vmi.guest import Guest

_log = logging.getLogger(__name__)


class Desk(Struct, frozen=True, kw_only=True):
    """What there is to begin with before the manifest is read."""

    options: Namespace
    workshop: Workshop
    stopwatch: Stopwatch
    outlet: Outlet
    is_stopping: Callable[[], bool]


class Beginning(Struct, frozen=True, kw_only=True):
    """What a run begins with, before there is a machine."""

    guest: Guest
    desk: Desk
    on_planned: Callable[[Pinning], None]


class Found(Struct, frozen=True, kw_only=True):
    """A machine that is ours to supervise, the plan that it was started with, and what the life cycle is told first.

    `vcpus` is the number that it was started with: the manifest may be another one by now.
    """

    machine: Machine
    pinning: Pinning
    vcpus: int
    virt_type: str
    first_event: Event
    agent_connected: bool = False


def adopt(hypervisor: Hypervisor, beginning: Beginning) -> Found | None:
    """Find the guest that an earlier launcher left running over this root; its plan is the one recorded in it.

    Returns None where no such guest runs, or ends just now. Raises HypervisorError where a domain of this name runs
    that no launcher started, or whose record is unreadable: a plan is never guessed.
    """
    machine = hypervisor.find(domain_name(beginning.guest))
    if machine is None:
        return None
    _log.info("found: %s, which runs already", machine.name)
    machine.settle()
    state = machine.state()
    if state is MachineState.ENDED:
        return None
    record = _read(machine, beginning)
    if record.pinning is None:
        raise HypervisorError(f"domain {machine.name} runs already and was not started by virt-launcher; end it first")
    # A guest that is just shutting down is not to be woken.
    running = state in (MachineState.RUNNING, MachineState.SHUTTING_DOWN)
    adopted = Adopted(running=running, has_run=running or record.has_run or _has_run(machine))
    _log.info("adopted: %s, %s", machine.name, _in_words(adopted))
    if record.vcpus != beginning.guest.cpu.topology.vcpus:
        _log.warning("adopted: it has %d vCPUs; the manifest's change counts from its next start", record.vcpus)
    beginning.desk.stopwatch.lap("adopt")
    return Found(
        machine=machine,
        pinning=record.pinning,
        vcpus=record.vcpus,
        virt_type=record.virt_type,
        first_event=adopted,
        agent_connected=record.agent_connected,
    )


def _read(machine: Machine, beginning: Beginning) -> DomainRecord:
    try:
        record: DomainRecord = beginning.desk.workshop.do("read_domain", machine.xml())
    except ValueError as error:
        raise HypervisorError(f"domain {machine.name} runs, but its recorded plan is unreadable: {error}") from error
    return record


def _has_run(machine: Machine) -> bool:
    """Tell whether a guest without the mark has run: the launcher may have been killed before it made the mark.

    Where nobody can know it counts as one that has: who was paused for a reason is not to be woken.
    """
    has_run = machine.has_run()
    if has_run is None:
        _log.warning("adopted: whether it has run cannot be told; if it has not, `virt-launcher resume` starts it")
    return has_run is not False


def _in_words(adopted: Adopted) -> str:
    if adopted.running:
        return "running"
    return "paused, and left so: it has run before" if adopted.has_run else "paused: it has not run yet"


def start(hypervisor: Hypervisor, beginning: Beginning) -> Found:
    """Plan over the CPUs that the container has, render the domain and start it paused.

    Raises GuestDestroyed where somebody asked for the end before QEMU was started.
    """
    guest, desk = beginning.guest, beginning.desk
    options = desk.options
    _check_alone(hypervisor, beginning)
    virt_type = virt_type_of(options)
    check_kvm(virt_type)
    if options.connect is None:
        prepare_capabilities(realtime=guest.cpu.realtime_vcpus is not None)
    pinning = _plan(beginning)
    order = DomainOrder(
        guest=guest,
        pinning=pinning,
        virt_type=virt_type,
        root=root_of(options),
        mounts=mounts_of(options),
        template=options.template,
        shares_iothreads=hypervisor.shares_iothreads,
    )
    desk.workshop.begin("make_domain", order)
    # The guest's disks may lie where nobody answers.
    xml = desk.workshop.finish(is_stopping=desk.is_stopping)
    desk.stopwatch.lap("render")
    if desk.is_stopping():
        raise GuestDestroyed("stopped before the guest was started")
    machine = hypervisor.start_paused(
        domain_name(guest),
        xml,
        memory_bytes=guest.memory.guest_bytes,
        keeps_variables=guest.board.keeps_variables,
    )
    desk.stopwatch.lap("start")
    _log.info("defined: %s (%s, UUID %s), paused", machine.name, virt_type, machine.uuid)
    return Found(
        machine=machine,
        pinning=pinning,
        vcpus=guest.cpu.topology.vcpus,
        virt_type=virt_type,
        first_event=Started(),
    )


def _check_alone(hypervisor: Hypervisor, beginning: Beginning) -> None:
    """Raise HypervisorError where another guest runs over this root: the two would share their CPUs, one unwatched."""
    root, is_embedded = root_of(beginning.desk.options), beginning.desk.options.connect is None
    for other in hypervisor.others(domain_name(beginning.guest)):
        if (is_embedded or _names(other, root)) and _is_alive(other):
            raise HypervisorError(
                f"{root}: domain {other.name}, of an earlier launcher, runs over this root; "
                "run its own manifest to take it over, or give this guest its own --root"
            )


def _names(machine: Machine, root: Path) -> bool:
    """Tell whether a domain of a daemon has its sockets below this root; another's that cannot be asked has not."""
    try:
        return f"{root}/run/" in machine.xml()
    except HypervisorError as error:
        _log.debug("passed over: %s", error)
        return False


def _is_alive(machine: Machine) -> bool:
    """Tell whether a domain that was found is there indeed: libvirt ends what it cannot take up."""
    machine.settle()
    return machine.state() is not MachineState.ENDED


def _plan(beginning: Beginning) -> Pinning:
    guest, desk = beginning.guest, beginning.desk
    tree = this_machine()
    host = read_host(tree, native_arch())
    try:
        pinning = settle(
            lambda: read_allowed_cpus(tree, own_affinity()),
            lambda allowed: plan(guest, host, allowed),
            timeout_s=desk.options.settle_timeout,
            is_stopping=desk.is_stopping,
        )
    except DoesNotFit as error:
        if desk.is_stopping():
            raise GuestDestroyed(f"stopped while waiting for CPUs: {error}") from error
        raise
    check_exclusive(guest, pinning, desk.options)
    desk.stopwatch.lap("plan")
    beginning.on_planned(pinning)
    return pinning
