"""The evidence of this machine that the cpuset's CPUs are ours alone, and what is done about its lack."""

from __future__ import annotations

import logging
from argparse import Namespace

from launcher.cli.machine import native_arch, this_machine
from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.files import read_file
from launcher.host.cgroup import read_cpu_quota, read_cpuset_partition
from launcher.host.sysfs import read_host
from launcher.kubelet.state import MAX_STATE_BYTES, kubelet_assignments
from launcher.planner.demand import cpu_demand
from launcher.planner.model import Pinning
from launcher.supervise.exclusivity import Evidence, Grade, grade
from launcher.supervise.snapshot import Exclusivity
from launcher.vmi.guest import Guest

_log = logging.getLogger(__name__)


def check_exclusive(guest: Guest, pinning: Pinning, options: Namespace) -> None:
    """Raise HostError for a guest with dedicated CPUs where --exclusive-cpus require wants more than can be shown."""
    if options.exclusive_cpus != "require" or not guest.cpu.dedicated:
        return
    found = _grade(guest, pinning.cpuset, options)
    if found.exclusivity is Exclusivity.SHARED:
        raise HostError(f"--exclusive-cpus require: nothing shows that the CPUs are ours alone: {found.reason}")


def grade_cpus(guest: Guest, cpuset: CPUSet, options: Namespace) -> Grade:
    """Grade how sure it is that nobody else runs on the CPUs, and log it."""
    found = _grade(guest, cpuset, options)
    if guest.cpu.dedicated and found.exclusivity is Exclusivity.SHARED:
        _log.warning("exclusive: not shown; %s", found.reason)
    else:
        _log.info("exclusive: %s; %s", found.exclusivity, found.reason)
    return found


def _grade(guest: Guest, cpuset: CPUSet, options: Namespace) -> Grade:
    return grade(
        Evidence(
            cpuset=cpuset,
            online=read_host(this_machine(), native_arch()).online,
            needed=cpu_demand(guest).total,
            partition=read_cpuset_partition(this_machine()),
            kubelet_assignments=_read_assignments(options.kubelet_state),
            kubelet_source=options.kubelet_state,
        )
    )


def _read_assignments(path: str) -> tuple[CPUSet, ...]:
    """Return the exclusive CPU sets in the kubelet's state file; none where it cannot be read, as in containers."""
    try:
        return kubelet_assignments(read_file(path, most_bytes=MAX_STATE_BYTES).decode())
    except ValueError as error:
        _log.debug("no evidence from the kubelet: %s: %s", path, error)
        return ()


def warn_of_quota(guest: Guest, pinning: Pinning) -> None:
    """Warn where a CFS quota gives less time than the guest's CPUs have: dedicated CPUs would stand still by turns."""
    quota = read_cpu_quota(this_machine())
    if quota is None:
        return
    wanted = cpu_demand(guest).total
    if quota.cpus < wanted:
        _log.warning(
            "quota: %s allows %.2f CPUs of time, the guest has %d on CPU %s: its vCPUs will be throttled",
            quota.source,
            quota.cpus,
            wanted,
            pinning.cpuset,
        )
