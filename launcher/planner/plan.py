"""The plan: from the guest, the host and the cpuset to the pinning of every thread."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.model import CPU, AllowedCPUs, Host
from launcher.planner.backing import backed_host, backing_of, far_from_memory
from launcher.planner.bounds import least_terms
from launcher.planner.cells import cores_backed
from launcher.planner.demand import CPUDemand, cpu_demand
from launcher.planner.explain import explain
from launcher.planner.floating import beside_vcpus, quiet_cpus, quiet_ones, starving, stuck, terrain_of, unquiet
from launcher.planner.iothreads import lay_out_iothreads
from launcher.planner.locality import memory_reasons, remote_memory
from launcher.planner.model import Cell, IOThreadPin, Pinning, Reason, SharedPin, VCPUPin
from launcher.planner.ownership import check_owners, demand_over, ownership_of
from launcher.planner.pages import check_huge_pages, check_page_limit, check_page_size
from launcher.planner.refusal import too_few_cpus
from launcher.planner.roles import assign_roles
from launcher.planner.terms import proof_explained, proof_of
from launcher.planner.warn import hidden_from_guest, throttled
from launcher.vmi.guest import Guest

if TYPE_CHECKING:
    from launcher.planner.optimum.placement import Placement


def plan(
    guest: Guest,
    host: Host,
    allowed: AllowedCPUs,
    *,
    shows_threads: bool = True,
    device_nodes: Collection[int] = (),
) -> Pinning:
    """Decide which host CPUs every thread of the guest gets, by DESIGN's "The placement".

    `shows_threads` tells that the guest can see which vCPUs are threads of one core, as one that is emulated cannot.
    `device_nodes` are those of the host's devices that the guest gets: its vCPUs are there where they may be.
    Depends on the values alone: the same guest, host and cpuset give the same pinning. CPUs of the cpuset that are
    not online here are left out, with a warning. Raises HostError where none is left, DoesNotFit where the CPUs (or
    under NUMA passthrough a node's CPUs), or the free huge pages, do not suffice.
    """
    check_owners(allowed)
    usable, backing = usable_cpus(host, allowed), backing_of(host, allowed)
    ownership = ownership_of(allowed)
    demand = demand_over(guest, ownership.common)
    own = tuple(cpu for cpu in usable if cpu.cpu in ownership.own)
    if guest.cpu.dedicated and len(own) < demand.total:
        raise too_few_cpus(host, allowed, demand, ownership)
    check_page_limit(guest.memory, allowed)
    if guest.cpu.numa_passthrough:
        check_page_size(guest.memory, host)
        # 40 modules that a guest without CPUs of its own does not wait for.
        from launcher.planner.passthrough import place_in_quiet_cells  # noqa: PLC0415

        placement, cells = place_in_quiet_cells(
            guest, backed_host(host, backing), own, demand, backing, quiet=quiet_cpus(host, allowed)
        )
        check_huge_pages(guest.memory, host, backing, is_bound=True)
        return assemble(guest, host, allowed, placement, cells, shows_threads=shows_threads)
    check_huge_pages(guest.memory, host, backing)
    if not guest.cpu.dedicated:
        return share(guest, host, allowed)
    from launcher.planner.preferred import place_near  # noqa: PLC0415 - likewise

    placement = place_near(
        own, guest.cpu.placed_topology, demand.housekeeping, backing, device_nodes, quiet=quiet_cpus(host, allowed)
    )
    return assemble(guest, host, allowed, placement, shows_threads=shows_threads)


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
    guest: Guest,
    host: Host,
    allowed: AllowedCPUs,
    placement: Placement,
    cells: tuple[Cell, ...] = (),
    *,
    shows_threads: bool = True,
) -> Pinning:
    """Give the other threads their CPUs and put everything together, with reasons and warnings."""
    usable, ownership = usable_cpus(host, allowed), ownership_of(allowed)
    demand = demand_over(guest, ownership.common)
    terrain = terrain_of(guest.cpu, placement.vcpus, host, allowed)
    roles = assign_roles(
        usable,
        frozenset(placement.vcpus),
        placement.housekeeping,
        demand,
        lay_out_iothreads(guest),
        terrain=terrain,
        common=ownership.common,
        sharing=sorted(guest.cpu.shared_vcpus),
    )
    ids = guest.cpu.placed_vcpus
    own = tuple(cpu for cpu in usable if cpu.cpu in ownership.own)
    quiet, backing = quiet_cpus(host, allowed), backing_of(host, allowed)
    most_cores = cores_backed(guest, host, own) if cells else None
    least = least_terms(own, guest.cpu.placed_topology, demand.housekeeping, placement.score, most_cores)
    proof = proof_of(placement.score, least, placement.sure)
    first, *others = explain(guest, host, usable, placement, roles, ownership=ownership)
    how = proof_explained(placement.score, least, placement.sure)
    pinning = Pinning(
        cpuset=CPUSet.of(cpu.cpu for cpu in usable),
        source=allowed.source,
        vcpus=vcpu_pins(placement.vcpus, ids),
        emulator=roles.emulator,
        iothreads=roles.iothreads,
        cells=cells,
        housekeeping=CPUSet.of(cpu.cpu for cpu in placement.housekeeping),
        spare=roles.spare,
        score=placement.score,
        proof=proof,
        warnings=(
            *allowed.warnings,
            *absent_warnings(host, allowed),
            *hidden_from_guest(guest.cpu, placement.vcpus, host, shows_threads=shows_threads),
            *far_from_memory(placement.vcpus, backing, ids),
            *remote_memory(guest, placement.vcpus, cells, host, backing),
            *throttled(allowed, demand),
            *unquiet(placement.vcpus, own, quiet, ids),
        ),
        reasons=(
            first,
            Reason(thread="placement", text=how),
            *_quiet_reasons(own, quiet, demand),
            *memory_reasons(placement.vcpus, cells),
            *others,
        ),
        shared=roles.shared,
        vhost=roles.vhost,
    )
    held_up = (*starving(guest, pinning), *beside_vcpus(pinning, terrain))
    return replace(pinning, warnings=(*pinning.warnings, *held_up))


def _quiet_reasons(own: Sequence[CPU], quiet: CPUSet, demand: CPUDemand) -> Iterator[Reason]:
    found = quiet_ones(own, quiet, demand.vcpus)
    if found:
        listed = CPUSet.of(cpu.cpu for cpu in found)
        text = f"vCPUs go to the quiet CPUs {listed} first (isolcpus, nohz_full, an isolated partition)"
        yield Reason(thread="placement", text=text)


def vcpu_pins(cpus: Sequence[CPU], vcpus: Sequence[int]) -> tuple[VCPUPin, ...]:
    """Pin the i-th of these vCPUs to the i-th CPU."""
    return tuple(
        VCPUPin(vcpu=vcpu, cpu=cpu.cpu, core=cpu.core, socket=cpu.socket, node=cpu.node)
        for vcpu, cpu in zip(vcpus, cpus, strict=True)
    )


def share(guest: Guest, host: Host, allowed: AllowedCPUs) -> Pinning:
    """Let every thread float: the guest asks for no CPUs of its own.

    On the whole cpuset, but for CPUs between which the kernel moves no thread, where there are others; and where some
    are shared with others by the node's word, vCPUs on the guest's own, all else on the shared ones.
    """
    cpus = CPUSet.of(cpu.cpu for cpu in usable_cpus(host, allowed))
    common = ownership_of(allowed).common & cpus
    moving = cpus - (host.isolated | allowed.bounds.isolated)
    vcpus = _floor(cpus - common, moving) or _floor(cpus, moving)
    others = _floor(common, moving) or vcpus
    apart = vcpus != cpus or others != cpus
    return Pinning(
        cpuset=cpus,
        source=allowed.source,
        vcpus=(),
        emulator=others,
        iothreads=tuple(IOThreadPin(iothread=number, cpus=others) for number in lay_out_iothreads(guest).ids),
        shared=tuple(SharedPin(vcpu=vcpu, cpus=vcpus) for vcpu in range(guest.cpu.topology.vcpus if apart else 0)),
        spare=cpus - vcpus - others,
        warnings=(
            *allowed.warnings,
            *absent_warnings(host, allowed),
            *stuck(guest, cpus, host, allowed),
            *throttled(allowed, cpu_demand(guest)),
        ),
        reasons=(Reason(thread="placement", text=_floating_in_words(cpus, vcpus, others)),),
    )


def _floor(cpus: CPUSet, moving: CPUSet) -> CPUSet:
    """Return those of the CPUs between which threads are moved; all where there are none."""
    return (cpus & moving) or cpus


def _floating_in_words(cpus: CPUSet, vcpus: CPUSet, others: CPUSet) -> str:
    unset = "spec.domain.cpu.dedicatedCpuPlacement is not set"
    if vcpus == others == cpus:
        return f"{unset}: every thread may use the whole cpuset"
    if vcpus == others:
        return f"{unset}: every thread may use CPUs {vcpus}, for between the others the kernel moves none"
    return f"{unset}: vCPUs may use the guest's own CPUs {vcpus}, every other thread those that it shares, {others}"
