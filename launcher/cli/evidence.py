"""The evidence of this machine that the cpuset's CPUs are ours alone, and what is done about its lack."""

from __future__ import annotations

import logging
from argparse import Namespace

from launcher.cli.machine import native_arch, owned, this_machine
from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.files import read_file
from launcher.host.bounds import read_bounds
from launcher.host.cgroup import read_cpuset_partition
from launcher.host.model import AllowedCPUs
from launcher.host.sysfs import read_host
from launcher.kubelet.options import Policy
from launcher.kubelet.state import MAX_STATE_BYTES, CPUManagerState, parse_state
from launcher.planner.model import Pinning
from launcher.planner.ownership import demand_over, ownership_of
from launcher.planner.warn import throttled
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
    state = _read_state(options.kubelet_state)
    # What the container shares by its runtime's own word is nobody's alone.
    ownership = ownership_of(owned(AllowedCPUs(cpus=cpuset, source="")), has_changed=True)
    return grade(
        Evidence(
            cpuset=cpuset - ownership.common,
            online=read_host(this_machine(), native_arch()).online,
            needed=demand_over(guest, ownership.common).total,
            partition=read_cpuset_partition(this_machine()),
            kubelet_assignments=() if state is None else state.assignments,
            kubelet_policy=Policy.STATIC if state is None else state.policy,
            kubelet_pool=CPUSet() if state is None else state.shared_pool,
            kubelet_source=options.kubelet_state,
        )
    )


def _read_state(path: str) -> CPUManagerState | None:
    """Return what the kubelet's state file says; None where it cannot be read, as in containers."""
    try:
        return parse_state(read_file(path, most_bytes=MAX_STATE_BYTES).decode())
    except ValueError as error:
        _log.debug("no evidence from the kubelet: %s: %s", path, error)
        return None


def warn_of_quota(guest: Guest, pinning: Pinning) -> None:
    """Log that a quota throttles a guest whose plan was made by an earlier launcher; a new plan says so itself."""
    allowed = AllowedCPUs(cpus=pinning.cpuset, source=pinning.source, bounds=read_bounds(this_machine()))
    common = ownership_of(owned(allowed), has_changed=True).common
    for warning in throttled(allowed, demand_over(guest, common)):
        _log.warning("adopted: %s", warning)
