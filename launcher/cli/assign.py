"""The supervisor's assignment: what it is responsible for, and the edges of this machine that it works through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from launcher.cli.begin import Beginning, Found
from launcher.cli.evidence import grade_cpus, warn_of_quota
from launcher.cli.machine import native_arch, own_affinity, this_machine
from launcher.cpuset import CPUSet
from launcher.domain.names import domain_name
from launcher.errors import HostError
from launcher.host.cgroup import find_cpuset, read_allowed_cpus
from launcher.host.model import AllowedCPUs
from launcher.host.sysfs import ONLINE, read_host
from launcher.host.tree import Tree, read_cpus
from launcher.hypervisor.process import find_qemu
from launcher.hypervisor.protocol import Hypervisor
from launcher.planner.model import Pinning
from launcher.planner.replan import replan
from launcher.supervise.supervisor import Assignment, DriftPolicy


def assignment_of(found: Found, beginning: Beginning, hypervisor: Hypervisor) -> Assignment:
    """Gather everything that the supervisor needs; raises HypervisorError where QEMU is not on this machine."""
    guest, tree = beginning.guest, this_machine()

    def record(pinning: Pinning) -> str:
        from launcher.domain.identity import plan_record  # noqa: PLC0415 - an XML library, for a rare event

        return plan_record(pinning)

    def plan_anew(pinning: Pinning, allowed: AllowedCPUs) -> Pinning:
        if guest.cpu.topology.vcpus != found.vcpus:
            raise HostError(f"the manifest has {guest.cpu.topology.vcpus} vCPUs by now, the guest {found.vcpus}")
        return replan(pinning, guest, read_host(tree, native_arch()), allowed)

    exclusive = grade_cpus(guest, found.pinning, beginning.options)
    warn_of_quota(guest, found.pinning)
    return Assignment(
        namespace=guest.namespace,
        name=guest.name,
        virt_type=found.virt_type,
        machine=found.machine,
        process=find_qemu(found.machine.uuid),
        pinning=found.pinning,
        vcpus=found.vcpus,
        read_allowed=_allowed_reader(tree, own_affinity()),
        replan=plan_anew,
        record=record,
        reconnect=lambda: hypervisor.find_again(domain_name(guest)),
        drift_policy=DriftPolicy(beginning.options.drift),
        exclusivity=exclusive.exclusivity,
        exclusivity_reason=exclusive.reason,
        start_up=beginning.stopwatch.phases,
        memory_bytes=guest.memory.guest_bytes,
        agent_connected=found.agent_connected,
    )


def _allowed_reader(tree: Tree, affinity: CPUSet) -> Callable[[], AllowedCPUs]:
    """Return a look at the CPUs that may be used at that moment; `affinity` is the launcher's own as it was started.

    An affinity that was narrower than the cpuset from the beginning, as by taskset, bounds it for good. One that
    covered the cpuset says nothing of its own: it is the cpuset's, which the kernel changes, and the launcher confines
    itself later on.
    """

    def read_online() -> CPUSet:
        return read_cpus(tree, ONLINE) or affinity

    def read_cpuset() -> AllowedCPUs:
        # Compared with every CPU there is, the cpuset counts alone, and that the two differ is nothing to warn of.
        return replace(read_allowed_cpus(tree, read_online()), warnings=())

    if find_cpuset(tree) is not None and read_cpuset().cpus <= affinity:
        return read_cpuset
    return lambda: read_allowed_cpus(tree, affinity & read_online())
