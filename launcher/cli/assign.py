"""The supervisor's assignment: what it is responsible for, and the edges of this machine that it works through."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from launcher.cli.begin import Beginning, Found
from launcher.cli.here import native_arch, own_affinity, owned, this_machine
from launcher.cli.orders import Graded
from launcher.cli.ward import Ward
from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.cpu_time import CPUTimeReader
from launcher.host.model import AllowedCPUs
from launcher.host.tree import Tree
from launcher.hypervisor.protocol import Hypervisor, Machine
from launcher.planner.model import Pinning
from launcher.supervise.allowed import AllowedReader
from launcher.supervise.assignment import Assignment, DriftPolicy
from launcher.supervise.device_watch import HeldDevice
from launcher.supervise.exclusivity import Grade
from launcher.supervise.greeter import Visit
from launcher.supervise.snapshot import Exclusivity

if TYPE_CHECKING:
    from argparse import Namespace

_log = logging.getLogger(__name__)


def assignment_of(found: Found, beginning: Beginning, hypervisor: Hypervisor) -> Assignment:
    """Gather everything that the supervisor needs; what takes the planner is loaded where a cpuset has changed."""
    ward, options, tree = beginning.ward, beginning.desk.options, this_machine()
    # The launcher confines itself later on; what it may use by then says nothing of the container's cpuset.
    allowed = AllowedReader(tree, own_affinity())

    def record(pinning: Pinning) -> str:
        from launcher.domain.identity import plan_record  # noqa: PLC0415 - an XML library, for a rare event

        return plan_record(pinning)

    return Assignment(
        namespace=ward.namespace,
        name=ward.name,
        virt_type=found.virt_type,
        machine=found.machine,
        process=found.process,
        pinning=found.pinning,
        vcpus=found.vcpus,
        allowed=allowed,
        read_time=CPUTimeReader(tree, len(found.pinning.cpuset)).read,
        replan=lambda pinning, allowed: _plan_anew(found, ward, pinning, allowed),
        record=record,
        grade=_grader(found.graded, ward, options),
        reconnect=lambda: hypervisor.find_again(ward.domain),
        drift_policy=DriftPolicy(options.drift),
        start_up=beginning.desk.stopwatch.phases,
        memory_bytes=ward.memory_bytes,
        agent_connected=found.agent_connected,
        on_agent=_credentials_setter(ward, options),
        devices=found.devices,
        starts_paused=ward.starts_paused,
    )


def _plan_anew(found: Found, ward: Ward, pinning: Pinning, allowed: AllowedCPUs) -> Pinning:
    if ward.vcpus != found.vcpus:
        raise HostError(f"the manifest has {ward.vcpus} vCPUs by now, the guest {found.vcpus}")
    from launcher.host.sysfs import read_host  # noqa: PLC0415 - two megabytes, for a rare event
    from launcher.planner.replan.replan import replan  # noqa: PLC0415 - likewise

    tree = this_machine()
    host, nodes = read_host(tree, native_arch()), _nodes_of(found.devices, tree)
    return replan(pinning, ward.guest.unpack(), host, owned(allowed), device_nodes=nodes)


def _grader(first: Graded, ward: Ward, options: Namespace) -> Callable[[CPUSet], Grade]:
    """Return what grades the cpuset and logs it: at first what the workshop has found of the one that was planned over,
    then each that it changes to."""
    known = [first]

    def grade(cpuset: CPUSet) -> Grade:
        graded = known.pop() if known else _grade_anew(ward, cpuset, options)
        _log_grade(graded)
        return graded.grade

    return grade


def _grade_anew(ward: Ward, cpuset: CPUSet, options: Namespace) -> Graded:
    from launcher.cli.evidence import grade_cpus  # noqa: PLC0415 - as above

    return grade_cpus(ward.guest.unpack(), cpuset, options.kubelet_state)


def _log_grade(graded: Graded) -> None:
    if graded.unread:
        _log.debug("no evidence from the kubelet: %s", graded.unread)
    if graded.is_dedicated and graded.grade.exclusivity is Exclusivity.SHARED:
        _log.warning("exclusive: not shown; %s", graded.grade.reason)
    else:
        _log.info("exclusive: %s; %s", graded.grade.exclusivity, graded.grade.reason)


def _nodes_of(devices: Sequence[HeldDevice], tree: Tree) -> tuple[int, ...]:
    """Return the nodes of the guest's PCI devices and mediated ones as they hang now."""
    if not devices:
        return ()
    from launcher.host.pci import nodes_of  # noqa: PLC0415 - few guests have any

    return nodes_of(tree, {device.address for device in devices})


def _credentials_setter(ward: Ward, options: Namespace) -> Callable[[Machine, Visit], bool] | None:
    """Return what sets the guest's keys and passwords once its agent is there; None where it has none."""
    if not ward.has_credentials:
        return None
    from launcher.cli.credentials import setter_of  # noqa: PLC0415 - only for a guest that has some
    from launcher.cli.machine import mounts_at  # noqa: PLC0415 - likewise

    return setter_of(ward.guest.unpack(), mounts_at(options.volumes))
