"""The beginning of a run: the guest is adopted from an earlier launcher, or planned, rendered and started paused."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass

from launcher.cli.machine import (
    check_kvm,
    mounts_of,
    native_arch,
    own_affinity,
    root_of,
    this_machine,
    virt_type_of,
)
from launcher.cli.orders import DomainOrder
from launcher.cli.workshop import Workshop
from launcher.domain.names import domain_name
from launcher.errors import GuestDestroyed, HypervisorError
from launcher.host.cgroup import read_allowed_cpus
from launcher.host.sysfs import read_host
from launcher.hypervisor.protocol import Hypervisor, Machine, MachineState
from launcher.planner.model import Pinning
from launcher.planner.plan import plan
from launcher.supervise.lifecycle import Adopted, Event, Started
from launcher.supervise.settle import settle
from launcher.supervise.stopwatch import Stopwatch
from launcher.vmi.guest import Guest

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a run begins with, before there is a machine."""

    guest: Guest
    options: Namespace
    workshop: Workshop
    stopwatch: Stopwatch
    is_stopping: Callable[[], bool]
    on_planned: Callable[[Pinning], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A machine that is ours to supervise, the plan that it was started with, and what the life cycle is told first."""

    machine: Machine
    pinning: Pinning
    virt_type: str
    first_event: Event
    agent_connected: bool = False


def adopt(hypervisor: Hypervisor, beginning: Beginning) -> Found | None:
    """Find the guest that an earlier launcher left running over this root; its plan is the one recorded in it.

    Returns None where no such guest runs. Raises HypervisorError where a domain of this name runs that no launcher
    started, or whose record is unreadable: a plan is never guessed.
    """
    machine = hypervisor.find(domain_name(beginning.guest))
    if machine is None:
        return None
    try:
        pinning, virt_type, agent_connected = beginning.workshop.do("read_domain", machine.xml())
    except ValueError as error:
        raise HypervisorError(f"domain {machine.name} runs, but its recorded plan is unreadable: {error}") from error
    if pinning is None:
        raise HypervisorError(f"domain {machine.name} runs already and was not started by virt-launcher; end it first")
    running = machine.state() is MachineState.RUNNING
    _log.info("adopted: %s, %s", machine.name, "running" if running else "paused")
    beginning.stopwatch.lap("adopt")
    return Found(
        machine=machine,
        pinning=pinning,
        virt_type=virt_type,
        first_event=Adopted(running=running),
        agent_connected=agent_connected,
    )


def start(hypervisor: Hypervisor, beginning: Beginning) -> Found:
    """Plan over the CPUs that the container has, render the domain and start it paused.

    Raises GuestDestroyed where somebody asked for the end before QEMU was started.
    """
    guest, options = beginning.guest, beginning.options
    virt_type = virt_type_of(options)
    check_kvm(virt_type)
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
    xml = beginning.workshop.do("make_domain", order)
    beginning.stopwatch.lap("render")
    if beginning.is_stopping():
        raise GuestDestroyed("stopped before the guest was started")
    machine = hypervisor.start_paused(xml)
    beginning.stopwatch.lap("start")
    _log.info("defined: %s (%s, UUID %s), paused", machine.name, virt_type, machine.uuid)
    return Found(machine=machine, pinning=pinning, virt_type=virt_type, first_event=Started())


def _plan(beginning: Beginning) -> Pinning:
    guest = beginning.guest
    tree = this_machine()
    host = read_host(tree, native_arch())
    pinning = settle(
        lambda: read_allowed_cpus(tree, own_affinity()),
        lambda allowed: plan(guest, host, allowed),
        timeout_s=beginning.options.settle_timeout,
        is_stopping=beginning.is_stopping,
    )
    beginning.stopwatch.lap("plan")
    beginning.on_planned(pinning)
    return pinning
