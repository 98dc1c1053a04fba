"""The supervisor's assignment: what it is responsible for, and the edges of this machine that it works through."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence

from launcher.cli.begin import Beginning, Found
from launcher.cli.evidence import grade_cpus, warn_of_quota
from launcher.cli.machine import mounts_of, native_arch, own_affinity, owned, this_machine
from launcher.domain.names import domain_name
from launcher.errors import HostError
from launcher.host.cpu_time import CPUTimeReader
from launcher.host.model import AllowedCPUs
from launcher.host.sysfs import read_host
from launcher.host.tree import Tree
from launcher.hypervisor.protocol import Hypervisor, Machine
from launcher.planner.model import Pinning
from launcher.planner.replan.replan import replan
from launcher.supervise.allowed import AllowedReader
from launcher.supervise.assignment import Assignment, DriftPolicy
from launcher.supervise.device_watch import HeldDevice
from launcher.supervise.greeter import Visit
from launcher.supervise.lifecycle import Adopted
from launcher.vmi.guest import Guest


def assignment_of(found: Found, beginning: Beginning, hypervisor: Hypervisor) -> Assignment:
    """Gather everything that the supervisor needs."""
    guest, options, tree = beginning.guest, beginning.desk.options, this_machine()
    # The launcher confines itself later on; what it may use by then says nothing of the container's cpuset.
    allowed = AllowedReader(tree, own_affinity())

    def record(pinning: Pinning) -> str:
        from launcher.domain.identity import plan_record  # noqa: PLC0415 - an XML library, for a rare event

        return plan_record(pinning)

    def plan_anew(pinning: Pinning, allowed: AllowedCPUs) -> Pinning:
        if guest.cpu.topology.vcpus != found.vcpus:
            raise HostError(f"the manifest has {guest.cpu.topology.vcpus} vCPUs by now, the guest {found.vcpus}")
        nodes = _nodes_of(found.devices, tree)
        return replan(pinning, guest, read_host(tree, native_arch()), owned(allowed), device_nodes=nodes)

    if isinstance(found.first_event, Adopted):
        warn_of_quota(guest, found.pinning)
    return Assignment(
        namespace=guest.namespace,
        name=guest.name,
        virt_type=found.virt_type,
        machine=found.machine,
        process=found.process,
        pinning=found.pinning,
        vcpus=found.vcpus,
        allowed=allowed,
        read_time=CPUTimeReader(tree, len(found.pinning.cpuset)).read,
        replan=plan_anew,
        record=record,
        grade=lambda cpuset: grade_cpus(guest, cpuset, options),
        reconnect=lambda: hypervisor.find_again(domain_name(guest)),
        drift_policy=DriftPolicy(options.drift),
        start_up=beginning.desk.stopwatch.phases,
        memory_bytes=guest.memory.guest_bytes,
        agent_connected=found.agent_connected,
        on_agent=_credentials_setter(guest, options),
        devices=found.devices,
        starts_paused=guest.starts_paused,
    )


def _nodes_of(devices: Sequence[HeldDevice], tree: Tree) -> tuple[int, ...]:
    """Return the nodes of the guest's PCI devices and mediated ones as they hang now."""
    if not devices:
        return ()
    from launcher.host.pci import nodes_of  # noqa: PLC0415 - few guests have any

    return nodes_of(tree, {device.address for device in devices})


def _credentials_setter(guest: Guest, options: Namespace) -> Callable[[Machine, Visit], bool] | None:
    """Return what sets the guest's keys and passwords once its agent is there; None where it has none."""
    if not guest.credentials:
        return None
    from launcher.cli.credentials import setter_of  # noqa: PLC0415 - only for a guest that has some

    return setter_of(guest, mounts_of(options))
