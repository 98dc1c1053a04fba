"""The beginning of a run: the guest is adopted from an earlier launcher, or planned, rendered and started paused."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from launcher.cli.desk import Desk
from launcher.cli.here import check_kvm, own_affinity, owned, this_machine, virt_type_of
from launcher.cli.orders import DomainMade, DomainOrder, Graded, PlanOrder
from launcher.cli.places import root_of
from launcher.cli.takeover import process_of, read_record
from launcher.cli.ward import Ward
from launcher.domain.names import hostdev_alias
from launcher.domain.parts import VirtType
from launcher.errors import CPUsContradict, DoesNotFit, GuestDestroyed, HypervisorError
from launcher.host.bounds import read_allowed
from launcher.host.model import AllowedCPUs
from launcher.hypervisor.capability import prepare_capabilities
from launcher.hypervisor.process import QEMUProcess
from launcher.hypervisor.protocol import Hypervisor, Machine, MachineGone, MachineState
from launcher.planner.model import Pinning
from launcher.supervise.device_watch import HeldDevice
from launcher.supervise.lifecycle import Adopted, Event, Started
from launcher.supervise.settle import settle
from launcher.supervise.threads import is_stopped

if TYPE_CHECKING:
    from launcher.host.assigned import AssignedDevice
    from launcher.network.forwards import Forward

_log = logging.getLogger(__name__)


class Beginning(Struct, frozen=True, kw_only=True):
    """What a run begins with, before there is a machine."""

    ward: Ward
    desk: Desk
    on_planned: Callable[[Pinning], None]


class Found(Struct, frozen=True, kw_only=True):
    """A machine that is ours to supervise, the plan that it was started with, and what the life cycle is told first.

    `vcpus` is the number that it was started with: the manifest may be another one by now. `graded` is how sure it is
    that the plan's CPUs are its own.
    """

    machine: Machine
    process: QEMUProcess
    pinning: Pinning
    graded: Graded
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
    machine = hypervisor.find(beginning.ward.domain)
    if machine is None:
        return None
    _log.info("found: %s, which runs already", machine.name)
    try:
        return _take_over(machine, beginning)
    except MachineGone as error:
        _log.info("gone: %s ended just now (%s)", machine.name, error)
        return None


def _take_over(machine: Machine, beginning: Beginning) -> Found:
    ward, desk = beginning.ward, beginning.desk
    process = process_of(machine, desk.options)
    if is_stopped(process.pid):
        # It would not answer, and is a guest all the same.
        _log.warning("found: its QEMU (pid %d) is stopped, by a signal or a debugger", process.pid)
    else:
        machine.settle()
    record = read_record(machine, process, desk.workshop, desk.options)
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
        with destroyed_on_error(machine):
            _make_ready(machine, _forwards_by(ward, record.user_cards), beginning)
    if record.vcpus != ward.vcpus:
        _log.warning("adopted: it has %d vCPUs; the manifest's change counts from its next start", record.vcpus)
    for warning in desk.workshop.do("quota_warnings", ward.guest, record.pinning):
        _log.warning("adopted: %s", warning)
    graded = desk.workshop.do("grade_cpus", ward.guest, record.pinning.cpuset, desk.options.kubelet_state)
    desk.stopwatch.lap("adopt")
    return Found(
        machine=machine,
        process=process,
        pinning=record.pinning,
        graded=graded,
        vcpus=record.vcpus,
        virt_type=record.virt_type,
        first_event=adopted,
        agent_connected=record.agent_connected,
        devices=record.devices,
    )


def _forwards_by(ward: Ward, user_cards: tuple[str, ...]) -> tuple[Forward, ...]:
    if not user_cards:
        return ()
    from launcher.network.forwards import forwards_by  # noqa: PLC0415 - for a guest that was left before it ran

    return tuple(forwards_by(ward.guest.unpack(), user_cards))


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
    ward, desk = beginning.ward, beginning.desk
    options = desk.options
    for notice in ward.notices:
        _log.warning("%s", notice)
    _check_alone(hypervisor, beginning)
    virt_type = virt_type_of(options)
    check_kvm(virt_type)
    if options.connect is None:
        prepare_capabilities(realtime=ward.is_realtime)
        _check_rights(ward)
    devices = _devices_of(beginning)
    pinning = _plan(beginning, virt_type, devices)
    made = _make_domain(hypervisor, beginning, virt_type, pinning, devices)
    if desk.is_stopping():
        raise GuestDestroyed("stopped before the guest was started")
    # While QEMU starts.
    desk.workshop.begin("grade_cpus", ward.guest, pinning.cpuset, options.kubelet_state)
    with _shared(made, pinning, desk), _opened(made) as files:
        machine = hypervisor.start_paused(
            ward.domain,
            made.xml,
            memory_bytes=ward.memory_bytes,
            cpus=pinning.launcher,
            keeps_variables=ward.keeps_variables,
            files=files,
        )
    with destroyed_on_error(machine):
        graded: Graded = desk.workshop.finish()
        _make_ready(machine, made.forwards, beginning)
        process = process_of(machine, options)
    desk.stopwatch.lap("start")
    _log.info("defined: %s (%s, UUID %s), paused", machine.name, virt_type, machine.uuid)
    return Found(
        machine=machine,
        process=process,
        pinning=pinning,
        graded=graded,
        vcpus=ward.vcpus,
        virt_type=virt_type,
        first_event=Started(),
        devices=tuple(HeldDevice(alias=hostdev_alias(one.request), address=one.address) for one in devices),
    )


def _devices_of(beginning: Beginning) -> tuple[AssignedDevice, ...]:
    """Return the devices of the host that the guest gets, each of which can be handed on."""
    ward, desk = beginning.ward, beginning.desk
    if not ward.has_devices:
        return ()
    from launcher.cli.devices import await_functions, check_handed_on, devices_of  # noqa: PLC0415 - few guests have any

    guest = ward.guest.unpack()
    await_functions(guest, desk.is_stopping)
    devices = devices_of(desk.options, guest)
    if desk.options.connect is None:
        check_handed_on(guest, devices)
    return devices


def _plan(beginning: Beginning, virt_type: VirtType, devices: tuple[AssignedDevice, ...]) -> Pinning:
    """Have the workshop plan over the CPUs that the container has, once the guest fits into them."""
    desk, tree = beginning.desk, this_machine()
    options = desk.options

    def plan(allowed: AllowedCPUs) -> Pinning:
        order = PlanOrder(
            allowed=allowed,
            virt_type=virt_type,
            kubelet_state=options.kubelet_state,
            nodes=_nodes_of(devices),
            needs_exclusive=options.exclusive_cpus == "require",
            is_embedded=options.connect is None,
        )
        pinning: Pinning = desk.workshop.do("plan_guest", beginning.ward.guest, order)
        return pinning

    try:
        pinning = settle(
            lambda: owned(read_allowed(tree, own_affinity())),
            plan,
            timeout_s=options.settle_timeout,
            is_stopping=desk.is_stopping,
        )
    except (DoesNotFit, CPUsContradict) as error:
        if desk.is_stopping():
            raise GuestDestroyed(f"stopped while waiting for CPUs: {error}") from error
        raise
    desk.stopwatch.lap("plan")
    beginning.on_planned(pinning)
    _tell_places(devices, pinning)
    return pinning


def _nodes_of(devices: tuple[AssignedDevice, ...]) -> tuple[int, ...]:
    if not devices:
        return ()
    from launcher.host.assigned import device_nodes  # noqa: PLC0415 - few guests have any

    return device_nodes(devices)


def _tell_places(devices: tuple[AssignedDevice, ...], pinning: Pinning) -> None:
    """Tell of devices that no vCPU is near."""
    if not devices:
        return
    from launcher.cli.devices import places_of  # noqa: PLC0415 - few guests have any
    from launcher.cli.machine import read_this_host  # noqa: PLC0415 - likewise

    places_of(devices, pinning, read_this_host())


def _make_domain(
    hypervisor: Hypervisor,
    beginning: Beginning,
    virt_type: VirtType,
    pinning: Pinning,
    devices: tuple[AssignedDevice, ...],
) -> DomainMade:
    """Have the workshop make the guest's disks and the domain; they may lie where nobody answers."""
    ward, desk = beginning.ward, beginning.desk
    options = desk.options
    order = DomainOrder(
        pinning=pinning,
        virt_type=virt_type,
        root=root_of(options),
        volumes=options.volumes,
        template=options.template,
        shares_iothreads=hypervisor.shares_iothreads,
        has_newer_elements=hypervisor.has_newer_elements,
        has_passt=options.connect is None and hypervisor.has_passt,
        devices=devices,
        capabilities=_capabilities(hypervisor, ward, virt_type),
        is_embedded=options.connect is None,
        takes_descriptors=hypervisor.takes_descriptors,
    )
    desk.workshop.begin("make_domain", ward.guest, order)
    made: DomainMade = desk.workshop.finish(is_stopping=desk.is_stopping)
    for notice in made.notices:
        _log.warning("%s", notice)
    desk.stopwatch.lap("render")
    return made


def _make_ready(machine: Machine, forwards: Iterable[Forward], beginning: Beginning) -> None:
    """Have the Pod's ports lead to a guest that has not run, and its config drive tell of its tagged devices.

    What cannot be had raises: it ends the start, and is not missing in silence.
    """
    ward, desk = beginning.ward, beginning.desk
    for forward in forwards:
        machine.forward_port(forward.alias, forward.protocol, forward.port)
    if ward.has_tags:
        desk.workshop.do("tell_tags", ward.guest, root_of(desk.options), machine.xml())


@contextmanager
def destroyed_on_error(machine: Machine) -> Iterator[None]:
    """Leave no guest behind that cannot be made ready to run, or watched over."""
    try:
        yield
    except BaseException:
        machine.destroy()
        raise


def _capabilities(hypervisor: Hypervisor, ward: Ward, virt_type: VirtType) -> str | None:
    """Ask what QEMU has only for a guest of more vCPUs than every machine type has."""
    if not ward.is_large:
        return None
    return hypervisor.capabilities_of(arch=ward.arch, machine=ward.machine, virt_type=virt_type)


def _check_rights(ward: Ward) -> None:
    """Raise HypervisorError where this container is denied what QEMU needs of it, before libvirt is asked."""
    if ward.wants_rights:
        from launcher.cli.rights import check_rights  # noqa: PLC0415 - few guests want any

        check_rights(ward.guest.unpack())


def _shared(made: DomainMade, pinning: Pinning, desk: Desk) -> AbstractContextManager[None]:
    """Return the context in which the daemons of the guest's shared folders are there, beside the emulator."""
    if not made.shares:
        return nullcontext()
    from launcher.storage.virtiofsd import shared  # noqa: PLC0415 - only for a guest that shares something

    return shared(made.shares, pinning.emulator, desk.is_stopping)


def _opened(made: DomainMade) -> AbstractContextManager[tuple[tuple[str, int], ...]]:
    """Return the context in which the files that QEMU is handed are open."""
    if not made.files:
        return nullcontext(())
    from launcher.storage.handover import opened  # noqa: PLC0415 - only for a guest with disks of its own

    return opened(made.files)


def _check_alone(hypervisor: Hypervisor, beginning: Beginning) -> None:
    """Raise HypervisorError where another guest runs over this root: the two would share their CPUs, one unwatched."""
    root, is_embedded = root_of(beginning.desk.options), beginning.desk.options.connect is None
    for other in hypervisor.others(beginning.ward.domain):
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
