"""The plan for a cpuset that changed under a running guest: as few moves as possible."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.host.model import CPU, AllowedCPUs, Host
from launcher.planner.assembly import assemble
from launcher.planner.bounds import least_terms
from launcher.planner.explain import explain_roles, score_in_words
from launcher.planner.model import Cell, Pinning, Reason
from launcher.planner.optimum.placement import Placement, scored
from launcher.planner.optimum.vacancy import Vacancy
from launcher.planner.plan import share
from launcher.planner.replan.resettle import resettle
from launcher.planner.roles import assign_roles
from launcher.planner.setting import Setting, setting_of
from launcher.planner.terms import proof_explained, proof_of
from launcher.vmi.guest import Guest


def replan(
    pinning: Pinning, guest: Guest, host: Host, allowed: AllowedCPUs, *, device_nodes: Collection[int] = ()
) -> Pinning:
    """Decide again for the cpuset as it is now, moving no vCPU whose CPU is still there and its own.

    A vCPU moves only where its CPU is gone, or where it shared one (a degraded plan) and another is free. The new CPUs
    and the housekeeping are the best by the score for the vCPUs that stay, on quiet CPUs where these are enough, and of
    equal ones those on the nodes of the guest's devices (see `resettle`). Housekeeping CPUs are given up before vCPUs
    share. With fewer CPUs than vCPUs these share as evenly as can be, and the pinning says that it is degraded.

    A cpuset that only grew is left alone unless the plan was short. The guest's NUMA cells stay as they were booted; a
    vCPU that leaves the node of its cell is a warning. Raises HostError where no CPU is left.
    """
    if not guest.cpu.dedicated:
        return share(setting_of(guest, host, allowed))
    setting = setting_of(guest, host, allowed, has_changed=True)
    now = setting.cpuset
    if now == pinning.cpuset:
        return pinning
    is_short = pinning.degraded or len(pinning.housekeeping) < setting.demand.housekeeping
    if pinning.cpuset <= now and not is_short:
        spare = pinning.spare | (now - pinning.cpuset)
        return replace(pinning, cpuset=now, source=allowed.source, spare=spare)
    usable, topology = setting.own or setting.usable, guest.cpu.placed_topology
    if len(usable) < len(pinning.vcpus):
        placement = scored(_shared_evenly(pinning, usable), (), topology)
    else:
        placement = resettle(_vacancy(pinning, setting, usable, device_nodes), topology)
    return _explained(pinning, setting, placement)


def _vacancy(pinning: Pinning, setting: Setting, usable: Sequence[CPU], device_nodes: Collection[int]) -> Vacancy:
    """Keep one vCPU, the lowest, on each CPU that is still there; all others are movers.

    A number counts the vCPUs with CPUs of their own: n is vCPU n but in mixed guests.
    """
    there = {cpu.cpu: cpu for cpu in usable}
    kept = {number: there.pop(pin.cpu) for number, pin in enumerate(pinning.vcpus) if pin.cpu in there}
    movers = tuple(number for number in range(len(pinning.vcpus)) if number not in kept)
    free, wanted = tuple(there.values()), setting.demand.housekeeping
    calm = CPUSet.of(cpu.cpu for cpu in free) & setting.quiet
    # Without a mover the housekeeping that is still there stays, too.
    fixed = () if movers else tuple(cpu for cpu in free if cpu.cpu in pinning.housekeeping)[:wanted]
    return Vacancy(
        kept=kept,
        movers=movers,
        free=tuple(cpu for cpu in free if cpu not in fixed),
        housekeeping=min(wanted, len(free) - len(movers)) - len(fixed),
        fixed_housekeeping=fixed,
        preferred=pinning.housekeeping,
        # Where they suffice, the movers go to the quiet CPUs.
        quiet=calm if len(calm) >= len(movers) > 0 else CPUSet(),
        home_nodes={vcpu: cell.node for cell in pinning.cells for vcpu in cell.vcpus},
        device_nodes=device_nodes,
    )


def _shared_evenly(pinning: Pinning, usable: Sequence[CPU]) -> tuple[CPU, ...]:
    """Spread the vCPUs so that no CPU carries two more than another, as few as possible away from where they are."""
    least, more = divmod(len(pinning.vcpus), len(usable))
    there = {cpu.cpu: cpu for cpu in usable}
    load, chosen = dict.fromkeys(there, 0), {}
    for pin in pinning.vcpus:
        if pin.cpu in load and load[pin.cpu] < least + (more > 0):
            more -= load[pin.cpu] == least
            load[pin.cpu] += 1
            chosen[pin.vcpu] = pin.cpu
    for pin in pinning.vcpus:
        if pin.vcpu not in chosen:
            chosen[pin.vcpu] = min(load, key=lambda cpu: (load[cpu], cpu))
            load[chosen[pin.vcpu]] += 1
    return tuple(there[chosen[pin.vcpu]] for pin in pinning.vcpus)


def _explained(before: Pinning, setting: Setting, placement: Placement) -> Pinning:
    """Put everything together, with reasons and warnings."""
    roles, vcpus, demand = assign_roles(setting, placement), placement.vcpus, setting.demand
    alone, topology = CPUSet.of(cpu.cpu for cpu in vcpus), setting.guest.cpu.placed_topology
    degraded = len(alone) < len(vcpus) or any(pin.cpus & alone for pin in roles.shared)
    reasons = [score_in_words(placement.score)]
    proof = None
    if not degraded:
        least = least_terms(setting.own or setting.usable, topology, len(placement.housekeeping), placement.score)
        proof = proof_of(placement.score, least, placement.sure)
        reasons.append(proof_explained(placement.score, least, placement.sure))
    given_up = demand.housekeeping - len(placement.housekeeping)
    return assemble(
        setting,
        placement,
        roles,
        cells=before.cells,
        proof=proof,
        degraded=degraded,
        warnings=(
            *_shortage(setting, given_up, degraded=degraded),
            *_away_from_memory(before.cells, vcpus),
        ),
        reasons=(
            *(Reason(thread="placement", text=text) for text in reasons),
            *_moves_in_words(before, vcpus),
            *explain_roles(setting, placement, roles),
        ),
    )


def _shortage(setting: Setting, given_up: int, *, degraded: bool) -> Iterator[str]:
    found = f"needs {setting.demand.total} CPUs, found {len(setting.own)} (read from {setting.allowed.source})"
    if degraded:
        yield f"degraded: the guest {found}; vCPUs share CPUs until the cpuset is large enough again"
    elif given_up:
        yield f"the guest {found}; {given_up} of the housekeeping CPUs given up so that every vCPU keeps its own"


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
