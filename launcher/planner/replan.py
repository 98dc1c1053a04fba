"""The plan for a cpuset that changed under a running guest: as few moves as possible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.host.model import CPU, AllowedCPUs, Host
from launcher.planner.bounds import least_terms
from launcher.planner.demand import CPUDemand
from launcher.planner.explain import explain_roles, score_in_words
from launcher.planner.floating import beside_vcpus, quiet_cpus, starving, terrain_of, unquiet
from launcher.planner.iothreads import lay_out_iothreads
from launcher.planner.model import Cell, Pinning, Reason
from launcher.planner.optimum.placement import Placement
from launcher.planner.ownership import demand_over, ownership_of
from launcher.planner.plan import absent_warnings, share, usable_cpus, vcpu_pins
from launcher.planner.resettle import Settlement, Vacancy, resettle_quietly
from launcher.planner.roles import assign_roles
from launcher.planner.score import score
from launcher.planner.terms import TERMS, proof_explained, proof_of
from launcher.vmi.guest import Guest


def replan(pinning: Pinning, guest: Guest, host: Host, allowed: AllowedCPUs) -> Pinning:
    """Decide again for the cpuset as it is now, moving no vCPU whose CPU is still there and its own.

    A vCPU moves only where its CPU is gone, or where it shared one (a degraded plan) and another is free. The new CPUs
    and the housekeeping are the best by the score for the vCPUs that stay, on quiet CPUs where these are enough:
    exactly, as long as the choices that differ are few (see `resettle`), else by local search. Housekeeping CPUs are
    given up before vCPUs share. With fewer CPUs than vCPUs these share as evenly as can be, and the pinning says that
    it is degraded.

    A cpuset that only grew is left alone unless the plan was short. The guest's NUMA cells stay as they were booted; a
    vCPU that leaves the node of its cell is a warning. Raises HostError where no CPU is left.
    """
    if not guest.cpu.dedicated:
        return share(guest, host, allowed)
    everything, common = usable_cpus(host, allowed), ownership_of(allowed, has_changed=True).common
    usable = tuple(cpu for cpu in everything if cpu.cpu not in common) or everything
    demand = demand_over(guest, common)
    now = CPUSet.of(cpu.cpu for cpu in everything)
    if now == pinning.cpuset:
        return pinning
    if pinning.cpuset <= now and not _is_short(pinning, demand):
        return _widened(pinning, now, allowed)
    if len(usable) < len(pinning.vcpus):
        settled = Settlement(vcpus=_shared_evenly(pinning, usable), housekeeping=())
    else:
        vacancy = _vacancy(_Moves.find(pinning, usable), pinning, demand, usable)
        settled = resettle_quietly(vacancy, guest.cpu.placed_topology, quiet_cpus(host, allowed))
    return _assembled(pinning, guest, host, allowed, settled)


class _Moves(Struct, frozen=True, kw_only=True):
    """The vCPUs that keep their CPU, and those that need another one, ascending.

    A number counts those with CPUs of their own: n is vCPU n but in mixed guests.
    """

    kept: Mapping[int, CPU]
    movers: tuple[int, ...]

    @staticmethod
    def find(pinning: Pinning, usable: Sequence[CPU]) -> _Moves:
        """Keep one vCPU, the lowest, on each CPU that is still there."""
        there = {cpu.cpu: cpu for cpu in usable}
        kept: dict[int, CPU] = {}
        for number, pin in enumerate(pinning.vcpus):
            if pin.cpu in there:
                kept[number] = there.pop(pin.cpu)
        movers = tuple(number for number in range(len(pinning.vcpus)) if number not in kept)
        return _Moves(kept=kept, movers=movers)


def _is_short(pinning: Pinning, demand: CPUDemand) -> bool:
    return pinning.degraded or len(pinning.housekeeping) < demand.housekeeping


def _widened(pinning: Pinning, now: CPUSet, allowed: AllowedCPUs) -> Pinning:
    spare = pinning.spare | (now - pinning.cpuset)
    return replace(pinning, cpuset=now, source=allowed.source, spare=spare)


def _vacancy(moves: _Moves, pinning: Pinning, demand: CPUDemand, usable: Sequence[CPU]) -> Vacancy:
    occupied = frozenset(moves.kept.values())
    free = tuple(cpu for cpu in usable if cpu not in occupied)
    wanted = demand.housekeeping
    # Without a mover the housekeeping that is still there stays, too.
    fixed = () if moves.movers else tuple(cpu for cpu in free if cpu.cpu in pinning.housekeeping)[:wanted]
    return Vacancy(
        kept=moves.kept,
        movers=moves.movers,
        free=tuple(cpu for cpu in free if cpu not in fixed),
        housekeeping=min(wanted, len(free) - len(moves.movers)) - len(fixed),
        fixed_housekeeping=fixed,
        preferred=pinning.housekeeping,
        home_nodes={vcpu: cell.node for cell in pinning.cells for vcpu in cell.vcpus},
    )


def _shared_evenly(pinning: Pinning, usable: Sequence[CPU]) -> tuple[CPU, ...]:
    """Spread the vCPUs so that no CPU carries two more than another, as few as possible away from where they are."""
    least, more = divmod(len(pinning.vcpus), len(usable))
    there = {cpu.cpu: cpu for cpu in usable}
    chosen: dict[int, CPU] = {}
    load: Counter[int] = Counter()
    for pin in pinning.vcpus:
        if pin.cpu in there and load[pin.cpu] < least:
            chosen[pin.vcpu] = there[pin.cpu]
            load[pin.cpu] += 1
    for pin in pinning.vcpus:
        if pin.vcpu not in chosen and pin.cpu in there and load[pin.cpu] == least and more:
            chosen[pin.vcpu] = there[pin.cpu]
            load[pin.cpu] += 1
            more -= 1
    for pin in pinning.vcpus:
        if pin.vcpu not in chosen:
            chosen[pin.vcpu] = min(usable, key=lambda cpu: (load[cpu.cpu], cpu.cpu))
            load[chosen[pin.vcpu].cpu] += 1
    return tuple(chosen[pin.vcpu] for pin in pinning.vcpus)


def _assembled(before: Pinning, guest: Guest, host: Host, allowed: AllowedCPUs, settled: Settlement) -> Pinning:
    vcpus, housekeeping = settled.vcpus, settled.housekeeping
    usable, ownership = usable_cpus(host, allowed), ownership_of(allowed, has_changed=True)
    demand = demand_over(guest, ownership.common)
    terrain = terrain_of(guest.cpu, vcpus, host, allowed)
    roles = assign_roles(
        usable,
        frozenset(vcpus),
        housekeeping,
        demand,
        lay_out_iothreads(guest),
        terrain=terrain,
        common=ownership.common,
        sharing=sorted(guest.cpu.shared_vcpus),
    )
    alone, topology = CPUSet.of(cpu.cpu for cpu in vcpus), guest.cpu.placed_topology
    degraded = len(alone) < len(vcpus) or any(pin.cpus & alone for pin in roles.shared)
    scored = score(vcpus, topology, housekeeping)
    own = [cpu for cpu in usable if cpu.cpu in ownership.own]
    least = least_terms(own or usable, topology, len(housekeeping), scored)
    sure = len(TERMS) if settled.is_least else 0
    proof = None if degraded else proof_of(scored, least, sure)
    given_up = demand.housekeeping - len(housekeeping)
    pinning = Pinning(
        cpuset=CPUSet.of(cpu.cpu for cpu in usable),
        source=allowed.source,
        vcpus=vcpu_pins(vcpus, guest.cpu.placed_vcpus),
        emulator=roles.emulator,
        iothreads=roles.iothreads,
        cells=before.cells,
        housekeeping=CPUSet.of(cpu.cpu for cpu in housekeeping),
        spare=roles.spare,
        score=scored,
        proof=proof,
        degraded=degraded,
        warnings=(
            *allowed.warnings,
            *absent_warnings(host, allowed),
            *_shortage(own, demand.total, given_up, allowed, degraded=degraded),
            *_away_from_memory(before.cells, vcpus),
            *unquiet(vcpus, own, quiet_cpus(host, allowed), guest.cpu.placed_vcpus),
        ),
        reasons=(
            Reason(thread="placement", text=score_in_words(scored)),
            *([] if proof is None else [Reason(thread="placement", text=proof_explained(scored, least, sure))]),
            *_moves_in_words(before, vcpus),
            *explain_roles(
                guest,
                usable,
                Placement(vcpus=vcpus, housekeeping=housekeeping, score=scored),
                roles,
                ownership=ownership,
            ),
        ),
        shared=roles.shared,
        vhost=roles.vhost,
    )
    held_up = (*starving(guest, pinning), *beside_vcpus(pinning, terrain))
    return replace(pinning, warnings=(*pinning.warnings, *held_up))


def _shortage(
    usable: Sequence[CPU], needed: int, given_up: int, allowed: AllowedCPUs, *, degraded: bool
) -> tuple[str, ...]:
    found = f"needs {needed} CPUs, found {len(usable)} (read from {allowed.source})"
    if degraded:
        return (f"degraded: the guest {found}; vCPUs share CPUs until the cpuset is large enough again",)
    if given_up:
        return (f"the guest {found}; {given_up} of the housekeeping CPUs given up so that every vCPU keeps its own",)
    return ()


def _away_from_memory(cells: Sequence[Cell], vcpus: Sequence[CPU]) -> tuple[str, ...]:
    return tuple(
        f"vCPU {vcpu} runs on node {vcpus[vcpu].node} while its cell's memory is on node {cell.node}"
        for cell in cells
        for vcpu in cell.vcpus
        if vcpus[vcpu].node != cell.node
    )


def _moves_in_words(before: Pinning, vcpus: Sequence[CPU]) -> tuple[Reason, ...]:
    now = CPUSet.of(cpu.cpu for cpu in vcpus)
    return tuple(
        Reason(thread=f"vcpu {pin.vcpu}", text=_move_in_words(pin.cpu, cpu.cpu, shared=pin.cpu in now))
        for pin, cpu in zip(before.vcpus, vcpus, strict=True)
    )


def _move_in_words(before: int, now: int, *, shared: bool) -> str:
    if before == now:
        return f"CPU {now}: kept"
    why = "which it shared with another vCPU" if shared else "which left the cpuset"
    return f"CPU {now}: moved from CPU {before}, {why}"
