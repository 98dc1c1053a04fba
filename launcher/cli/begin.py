"""The beginning of a run: the guest is adopted from an earlier launcher, or planned, rendered and started paused."""

from __future__ import annotations

import logging
import os
from argparse import Namespace
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from msgspec import Struct

from launcher.cli.devices import await_functions, check_handed_on, devices_of, places_of
from launcher.cli.evidence import check_exclusive
from launcher.cli.machine import (
    check_kvm,
    mounts_of,
    native_arch,
    own_affinity,
    owned,
    read_this_host,
    root_of,
    this_machine,
    virt_type_of,
)
from launcher.cli.orders import DomainMade, DomainOrder
from launcher.cli.takeover import process_of, read_record
from launcher.cli.workshop import Workshop
from launcher.domain.blueprint import VirtType
from launcher.domain.names import RESERVATION_SOCKET, domain_name, hostdev_alias, machine_of
from launcher.domain.threads import shows_threads
from launcher.errors import CPUsContradict, DoesNotFit, GuestDestroyed, HypervisorError, LauncherError
from launcher.host.assigned import device_nodes
from launcher.host.bounds import read_allowed
from launcher.host.processor import needs_topoext
from launcher.host.sysfs import read_host
from launcher.hypervisor.capability import prepare_capabilities
from launcher.hypervisor.process import QEMUProcess
from launcher.hypervisor.protocol import Hypervisor, Machine, MachineGone, MachineState
from launcher.hypervisor.rights import check_huge_page_mount, check_locked_memory, check_memory_policy
from launcher.network.forwards import Forward, forwards_by
from launcher.observe.outlet import Outlet
from launcher.planner.model import Pinning
from launcher.planner.plan import plan
from launcher.storage.handover import opened
from launcher.storage.tags import has_config_drive, tags_of
from launcher.supervise.device_watch import HeldDevice
from launcher.supervise.lifecycle import Adopted, Event, Started
from launcher.supervise.settle import settle
from launcher.supervise.stopwatch import Stopwatch
from launcher.supervise.threads import is_stopped
from launcher.vmi.apic import MOST_PLAIN_VCPUS
from launcher.vmi.guest import Guest
from launcher.vmi.notices import notices_of
from launcher.vmi.vhost import out_of_reach

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
    process: QEMUProcess
    pinning: Pinning
    vcpus: int
    virt_type: str
    first_event: Event
    agent_connected: bool = False
    devices: tuple[HeldDevice, ...] = ()


def adopt(hypervisor: Hypervisor, beginning: Beginning) -> Found | None:
    """Find the guest that an earlier launcher left running over this root; its plan is the one recorded in it.

    Returns None where no such guest runs, or ends just now: whatever is asked may be answered so. Raises
    HypervisorError where a domain of this name runs that no launcher started, or whose record is unreadable: a plan is
    never guessed.
    """
    machine = hypervisor.find(domain_name(beginning.guest))
    if machine is None:
        return None
    _log.info("found: %s, which runs already", machine.name)
    try:
        return _take_over(machine, beginning)
    except MachineGone as error:
        _log.info("gone: %s ended just now (%s)", machine.name, error)
        return None


def _take_over(machine: Machine, beginning: Beginning) -> Found:
    process = process_of(machine, beginning.desk.options)
    if is_stopped(process.pid):
        # It would not answer, and is a guest all the same.
        _log.warning("found: its QEMU (pid %d) is stopped, by a signal or a debugger", process.pid)
    else:
        machine.settle()
    record = read_record(machine, process, beginning.desk.workshop, beginning.desk.options)
    state = machine.state()
    if state is MachineState.ENDED:
        raise MachineGone(f"domain {machine.name} has ended")
    if record.pinning is None:
        raise HypervisorError(f"domain {machine.name} runs already and was not started by virt-launcher; end it first")
    # A guest that is just shutting down is not to be woken.
    running = state in (MachineState.RUNNING, MachineState.SHUTTING_DOWN)
    adopted = Adopted(running=running, has_run=running or record.has_run or _has_run(machine))
    _log.info("adopted: %s, %s", machine.name, _in_words(adopted))
    if not adopted.has_run:
        # Its launcher may have been killed before it did this.
        _make_ready(machine, forwards_by(beginning.guest, record.user_cards), beginning)
    if record.vcpus != beginning.guest.cpu.topology.vcpus:
        _log.warning("adopted: it has %d vCPUs; the manifest's change counts from its next start", record.vcpus)
    beginning.desk.stopwatch.lap("adopt")
    return Found(
        machine=machine,
        process=process,
        pinning=record.pinning,
        vcpus=record.vcpus,
        virt_type=record.virt_type,
        first_event=adopted,
        agent_connected=record.agent_connected,
        devices=record.devices,
    )


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
    unreachable = out_of_reach(guest, os.uname().release)
    for notice in (*notices_of(guest), *([unreachable] if unreachable else [])):
        _log.warning("%s", notice)
    _check_alone(hypervisor, beginning)
    virt_type = virt_type_of(options)
    check_kvm(virt_type)
    if options.connect is None:
        prepare_capabilities(realtime=guest.cpu.realtime_vcpus is not None)
        _check_rights(guest)
    await_functions(guest, desk.is_stopping)
    devices = devices_of(options, guest)
    if options.connect is None:
        check_handed_on(guest, devices)
    pinning = _plan(beginning, shows_threads=shows_threads(guest, virt_type), nodes=device_nodes(devices))
    if options.connect is None and guest.memory.huge_page_bytes is not None:
        check_huge_page_mount(guest.memory.huge_page_bytes, this_machine().read("proc/self/mounts") or "")
    if devices:
        places_of(devices, pinning, read_host(this_machine(), native_arch()))
    order = DomainOrder(
        guest=guest,
        pinning=pinning,
        virt_type=virt_type,
        root=root_of(options),
        mounts=mounts_of(options),
        template=options.template,
        shares_iothreads=hypervisor.shares_iothreads,
        has_newer_elements=hypervisor.has_newer_elements,
        has_passt=options.connect is None and hypervisor.has_passt,
        devices=devices,
        needs_topoext=needs_topoext(this_machine()),
        capabilities=_capabilities(hypervisor, guest, virt_type),
        is_embedded=options.connect is None,
        takes_descriptors=hypervisor.takes_descriptors,
    )
    desk.workshop.begin("make_domain", order)
    # The guest's disks may lie where nobody answers.
    made: DomainMade = desk.workshop.finish(is_stopping=desk.is_stopping)
    for notice in made.notices:
        _log.warning("%s", notice)
    desk.stopwatch.lap("render")
    if desk.is_stopping():
        raise GuestDestroyed("stopped before the guest was started")
    with _shared(made, pinning, desk), opened(made.files) as files:
        machine = hypervisor.start_paused(
            domain_name(guest),
            made.xml,
            memory_bytes=guest.memory.guest_bytes,
            keeps_variables=guest.board.keeps_variables,
            files=files,
        )
    _make_ready(machine, made.forwards, beginning)
    desk.stopwatch.lap("start")
    _log.info("defined: %s (%s, UUID %s), paused", machine.name, virt_type, machine.uuid)
    return Found(
        machine=machine,
        process=_process_of_started(machine, options),
        pinning=pinning,
        vcpus=guest.cpu.topology.vcpus,
        virt_type=virt_type,
        first_event=Started(),
        devices=tuple(HeldDevice(alias=hostdev_alias(one.request), address=one.address) for one in devices),
    )


def _make_ready(machine: Machine, forwards: Iterable[Forward], beginning: Beginning) -> None:
    """Have the Pod's ports lead to a guest that has not run, and its config drive tell of its tagged devices.

    What cannot be had ends the start, and is not missing in silence.
    """
    try:
        for forward in forwards:
            machine.forward_port(forward.alias, forward.protocol, forward.port)
        if tags_of(beginning.guest) and has_config_drive(beginning.guest):
            desk = beginning.desk
            desk.workshop.do("tell_tags", beginning.guest, root_of(desk.options), machine.xml())
    except LauncherError:
        machine.destroy()
        raise


def _process_of_started(machine: Machine, options: Namespace) -> QEMUProcess:
    try:
        return process_of(machine, options)
    except HypervisorError:
        machine.destroy()
        raise


def _capabilities(hypervisor: Hypervisor, guest: Guest, virt_type: VirtType) -> str | None:
    """Ask what QEMU has only for a guest of more vCPUs than every machine type has."""
    if guest.cpu.topology.vcpus <= MOST_PLAIN_VCPUS:
        return None
    machine = machine_of(guest, guest.arch) or ""
    return hypervisor.capabilities_of(arch=guest.arch, machine=machine, virt_type=virt_type)


def _check_rights(guest: Guest) -> None:
    """Raise HypervisorError where this container is denied what QEMU needs of it, before libvirt is asked."""
    if guest.cpu.realtime_vcpus is not None:
        check_locked_memory()
    if guest.cpu.numa_passthrough:
        check_memory_policy(native_arch())
    reserved = [disk.name for disk in guest.disks if disk.is_reserved]
    if reserved and not Path(RESERVATION_SOCKET).is_socket():
        raise HypervisorError(
            f"disk {reserved[0]}: lun.reservation: {RESERVATION_SOCKET} is not there, the socket of the node's "
            "qemu-pr-helper; KubeVirt brings it (feature gate PersistentReservation, resource "
            "devices.kubevirt.io/pr-helper), or root's qemu-pr-helper -k of that path"
        )


def _shared(made: DomainMade, pinning: Pinning, desk: Desk) -> AbstractContextManager[None]:
    """Return the context in which the daemons of the guest's shared folders are there, beside the emulator."""
    if not made.shares:
        return nullcontext()
    from launcher.storage.virtiofsd import shared  # noqa: PLC0415 - only for a guest that shares something

    return shared(made.shares, pinning.emulator, desk.is_stopping)


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


def _plan(beginning: Beginning, *, shows_threads: bool, nodes: tuple[int, ...]) -> Pinning:
    guest, desk = beginning.guest, beginning.desk
    tree = this_machine()
    try:
        pinning = settle(
            lambda: owned(read_allowed(tree, own_affinity())),
            # What is free of huge pages changes, too, as when the guest before this one has just ended.
            lambda allowed: plan(
                guest,
                read_this_host(),
                allowed,
                shows_threads=shows_threads,
                device_nodes=nodes,
            ),
            timeout_s=desk.options.settle_timeout,
            is_stopping=desk.is_stopping,
        )
    except (DoesNotFit, CPUsContradict) as error:
        if desk.is_stopping():
            raise GuestDestroyed(f"stopped while waiting for CPUs: {error}") from error
        raise
    check_exclusive(guest, pinning, desk.options)
    desk.stopwatch.lap("plan")
    beginning.on_planned(pinning)
    return pinning
