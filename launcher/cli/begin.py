"""The beginning of a run: the guest is adopted from an earlier launcher, or planned, rendered and started paused."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass

from launcher.cli.machine import (
    check_kvm,
    console_paths,
    native_arch,
    own_affinity,
    read_template,
    root_of,
    this_machine,
    virt_type_of,
)
from launcher.domain.blueprint import Blueprint
from launcher.domain.identity import domain_name
from launcher.domain.read import read_plan
from launcher.domain.render import render
from launcher.errors import GuestDestroyed, HypervisorError
from launcher.host.cgroup import read_allowed_cpus
from launcher.host.sysfs import read_host
from launcher.hypervisor.protocol import Hypervisor, Machine, MachineState
from launcher.planner.iothreads import lay_out_iothreads
from launcher.planner.model import Pinning
from launcher.planner.plan import plan
from launcher.storage import find_files
from launcher.supervise.lifecycle import Adopted, Event, Started
from launcher.supervise.settle import settle
from launcher.vmi.guest import Guest

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A machine that is ours to supervise, the plan that it was started with, and what the life cycle is told first."""

    machine: Machine
    pinning: Pinning
    first_event: Event


def adopt(hypervisor: Hypervisor, guest: Guest) -> Found | None:
    """Find the guest that an earlier launcher left running over this root; its plan is the one recorded in it.

    Returns None where no such guest runs. Raises HypervisorError where a domain of this name runs that no launcher
    started, or whose record is unreadable: a plan is never guessed.
    """
    machine = hypervisor.find(domain_name(guest))
    if machine is None:
        return None
    try:
        pinning = read_plan(machine.xml())
    except ValueError as error:
        raise HypervisorError(f"domain {machine.name} runs, but its recorded plan is unreadable: {error}") from error
    if pinning is None:
        raise HypervisorError(f"domain {machine.name} runs already and was not started by virt-launcher; end it first")
    running = machine.state() is MachineState.RUNNING
    _log.info("adopted: %s, %s", machine.name, "running" if running else "paused")
    return Found(machine=machine, pinning=pinning, first_event=Adopted(running=running))


def start(
    hypervisor: Hypervisor,
    guest: Guest,
    options: Namespace,
    *,
    is_stopping: Callable[[], bool],
    on_planned: Callable[[Pinning], None],
) -> Found:
    """Plan over the CPUs that the container has, render the domain and start it paused.

    Raises GuestDestroyed where somebody asked for the end before QEMU was started.
    """
    virt_type = virt_type_of(options)
    check_kvm(virt_type)
    formats = find_files(guest)
    template = read_template(options, native_arch())
    pinning = _plan(guest, options, is_stopping)
    on_planned(pinning)
    blueprint = Blueprint(
        guest=guest,
        pinning=pinning,
        iothreads=lay_out_iothreads(guest),
        virt_type=virt_type,
        arch=native_arch(),
        console=console_paths(root_of(options), guest),
        image_formats=formats,
        shares_iothreads=hypervisor.shares_iothreads,
    )
    xml = render(blueprint, *template)
    if is_stopping():
        raise GuestDestroyed("stopped before the guest was started")
    machine = hypervisor.start_paused(xml)
    _log.info("defined: %s (%s, UUID %s), paused", machine.name, virt_type, machine.uuid)
    return Found(machine=machine, pinning=pinning, first_event=Started())


def _plan(guest: Guest, options: Namespace, is_stopping: Callable[[], bool]) -> Pinning:
    tree = this_machine()
    host = read_host(tree, native_arch())
    return settle(
        lambda: read_allowed_cpus(tree, own_affinity()),
        lambda allowed: plan(guest, host, allowed),
        timeout_s=options.settle_timeout,
        is_stopping=is_stopping,
    )
