"""The plan: from the guest, the host and the cpuset to the pinning of every thread."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.model import CPU, AllowedCPUs, Host
from launcher.planner.demand import cpu_demand
from launcher.planner.explain import explain
from launcher.planner.iothreads import lay_out_iothreads
from launcher.planner.model import Cell, IOThreadPin, Pinning, Reason, VCPUPin
from launcher.planner.passthrough import place_in_cells
from launcher.planner.placement import Placement, place
from launcher.planner.refusal import too_few_cpus
from launcher.planner.roles import assign_roles
from launcher.planner.warn import hidden_from_guest
from launcher.vmi.guest import Guest


def plan(guest: Guest, host: Host, allowed: AllowedCPUs) -> Pinning:
    """Decide which host CPUs every thread of the guest gets, by DESIGN's "The placement".

    Depends on the values alone: the same guest, host and cpuset give the same pinning. CPUs of the cpuset that are
    not online here are left out, with a warning. Raises HostError where none is left, DoesNotFit where the CPUs (or
    under NUMA passthrough a node's CPUs or huge pages) do not suffice.
    """
    usable = usable_cpus(host, allowed)
    if not guest.cpu.dedicated:
        return _shared(guest, usable, host, allowed)
    demand = cpu_demand(guest)
    if len(usable) < demand.total:
        raise too_few_cpus(host, allowed, demand)
    if guest.cpu.numa_passthrough:
        placement, cells = place_in_cells(guest, host, usable, demand)
    else:
        placement, cells = place(usable, guest.cpu.topology, demand.housekeeping), ()
    return assemble(guest, host, allowed, placement, cells)


def usable_cpus(host: Host, allowed: AllowedCPUs) -> tuple[CPU, ...]:
    """Return the CPUs of the cpuset that are online, ascending; raises HostError where there is none."""
    if not allowed.cpus:
        raise HostError(f"{allowed.source}: the cpuset is empty; the container needs at least one CPU")
    usable = tuple(sorted((cpu for cpu in host.cpus if cpu.cpu in allowed.cpus), key=lambda cpu: cpu.cpu))
    if not usable:
        raise HostError(f"{allowed.source}: none of the CPUs {allowed.cpus} is online, online are {host.online}")
    return usable


def absent_warnings(host: Host, allowed: AllowedCPUs) -> tuple[str, ...]:
    """Say which CPUs of the cpuset are left out because they are not online."""
    absent = allowed.cpus - host.online
    if not absent:
        return ()
    return (f"{allowed.source}: CPUs {absent} are not online on this host and are left out",)


def assemble(
    guest: Guest, host: Host, allowed: AllowedCPUs, placement: Placement, cells: tuple[Cell, ...] = ()
) -> Pinning:
    """Give the other threads their CPUs and put everything together, with reasons and warnings."""
    usable = usable_cpus(host, allowed)
    demand = cpu_demand(guest)
    roles = assign_roles(usable, frozenset(placement.vcpus), placement.housekeeping, demand, lay_out_iothreads(guest))
    return Pinning(
        cpuset=CPUSet.of(cpu.cpu for cpu in usable),
        source=allowed.source,
        vcpus=vcpu_pins(placement.vcpus),
        emulator=roles.emulator,
        iothreads=roles.iothreads,
        cells=cells,
        housekeeping=CPUSet.of(cpu.cpu for cpu in placement.housekeeping),
        spare=roles.spare,
        score=placement.score,
        warnings=(*allowed.warnings, *absent_warnings(host, allowed), *hidden_from_guest(guest.cpu, placement.vcpus)),
        reasons=explain(guest, host, usable, placement, roles),
    )


def vcpu_pins(cpus: Sequence[CPU]) -> tuple[VCPUPin, ...]:
    """Pin vCPU i to the i-th CPU."""
    return tuple(
        VCPUPin(vcpu=vcpu, cpu=cpu.cpu, core=cpu.core, socket=cpu.socket, node=cpu.node)
        for vcpu, cpu in enumerate(cpus)
    )


def _shared(guest: Guest, usable: Sequence[CPU], host: Host, allowed: AllowedCPUs) -> Pinning:
    """Let every thread run on the whole cpuset: the guest asks for no CPUs of its own."""
    cpus = CPUSet.of(cpu.cpu for cpu in usable)
    reason = "spec.domain.cpu.dedicatedCpuPlacement is not set: every thread may use the whole cpuset"
    return Pinning(
        cpuset=cpus,
        source=allowed.source,
        vcpus=(),
        emulator=cpus,
        iothreads=tuple(IOThreadPin(iothread=number, cpus=cpus) for number in lay_out_iothreads(guest).ids),
        warnings=(*allowed.warnings, *absent_warnings(host, allowed)),
        reasons=(Reason(thread="placement", text=reason),),
    )
