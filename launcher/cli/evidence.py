"""The evidence of this machine that the cpuset's CPUs are ours alone; of the workshop's jobs, where it is to be had."""

from __future__ import annotations

from launcher.cli.here import native_arch, owned, this_machine
from launcher.cli.orders import Graded
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
from launcher.supervise.exclusivity import Evidence, grade
from launcher.supervise.snapshot import Exclusivity
from launcher.vmi.guest import Guest


def check_exclusive(guest: Guest, pinning: Pinning, kubelet_state: str) -> None:
    """Raise HostError for a guest with dedicated CPUs where nothing shows that they are its alone."""
    if not guest.cpu.dedicated:
        return
    found = grade_cpus(guest, pinning.cpuset, kubelet_state).grade
    if found.exclusivity is Exclusivity.SHARED:
        raise HostError(f"--exclusive-cpus require: nothing shows that the CPUs are ours alone: {found.reason}")


def grade_cpus(guest: Guest, cpuset: CPUSet, kubelet_state: str) -> Graded:
    """Grade how sure it is that nobody else runs on the CPUs."""
    state, unread = _read_state(kubelet_state)
    # What the container shares by its runtime's own word is nobody's alone.
    ownership = ownership_of(owned(AllowedCPUs(cpus=cpuset, source="")), has_changed=True)
    found = grade(
        Evidence(
            cpuset=cpuset - ownership.common,
            online=read_host(this_machine(), native_arch()).online,
            needed=demand_over(guest, ownership.common).total,
            partition=read_cpuset_partition(this_machine()),
            kubelet_assignments=() if state is None else state.assignments,
            kubelet_policy=Policy.STATIC if state is None else state.policy,
            kubelet_pool=CPUSet() if state is None else state.shared_pool,
            kubelet_source=kubelet_state,
        )
    )
    return Graded(grade=found, is_dedicated=guest.cpu.dedicated, unread=unread)


def _read_state(path: str) -> tuple[CPUManagerState | None, str]:
    """Return what the kubelet's state file says; None and why where it cannot be read, as in containers."""
    try:
        return parse_state(read_file(path, most_bytes=MAX_STATE_BYTES).decode()), ""
    except ValueError as error:
        return None, f"{path}: {error}"


def quota_warnings(guest: Guest, pinning: Pinning) -> tuple[str, ...]:
    """Say that a quota throttles a guest whose plan was made by an earlier launcher; a new plan says so itself."""
    allowed = AllowedCPUs(cpus=pinning.cpuset, source=pinning.source, bounds=read_bounds(this_machine()))
    common = ownership_of(owned(allowed), has_changed=True).common
    return tuple(throttled(allowed, demand_over(guest, common)))
