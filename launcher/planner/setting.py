"""What a plan is made from: the guest, the host, and the cpuset with whose CPUs are whose."""

from __future__ import annotations

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.model import CPU, AllowedCPUs, Host
from launcher.planner.demand import CPUDemand
from launcher.planner.ownership import Ownership, demand_over, ownership_of
from launcher.vmi.guest import Guest


class Setting(Struct, frozen=True, kw_only=True):
    """The guest, the host and the cpuset, the CPUs of it that are online, ascending, whose they are, and the demand.

    `own` are the usable CPUs that are the guest's own.
    """

    guest: Guest
    host: Host
    allowed: AllowedCPUs
    usable: tuple[CPU, ...]
    own: tuple[CPU, ...]
    ownership: Ownership
    demand: CPUDemand

    @property
    def cpuset(self) -> CPUSet:
        """The usable CPUs as a set."""
        return CPUSet.of(cpu.cpu for cpu in self.usable)

    @property
    def quiet(self) -> CPUSet:
        """The CPUs that the kernel's parameters or a control group have made quiet."""
        return self.host.isolated | self.host.nohz_full | self.allowed.bounds.isolated

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the cpuset by itself."""
        absent = self.allowed.cpus - self.host.online
        if not absent:
            return self.allowed.warnings
        left_out = f"{self.allowed.source}: CPUs {absent} are not online on this host and are left out"
        return (*self.allowed.warnings, left_out)


def setting_of(guest: Guest, host: Host, allowed: AllowedCPUs, *, has_changed: bool = False) -> Setting:
    """Gather what a plan is made from; the cpuset may have changed since the environment was made.

    Raises HostError where no CPU of it is online.
    """
    if not allowed.cpus:
        raise HostError(f"{allowed.source}: the cpuset is empty; the container needs at least one CPU")
    usable = tuple(sorted((cpu for cpu in host.cpus if cpu.cpu in allowed.cpus), key=lambda cpu: cpu.cpu))
    if not usable:
        raise HostError(f"{allowed.source}: none of the CPUs {allowed.cpus} is online, online are {host.online}")
    ownership = ownership_of(allowed, has_changed=has_changed)
    demand = demand_over(guest, ownership.common)
    own = tuple(cpu for cpu in usable if cpu.cpu in ownership.own)
    return Setting(guest=guest, host=host, allowed=allowed, usable=usable, own=own, ownership=ownership, demand=demand)
