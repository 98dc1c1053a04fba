"""The plan for a cpuset that changed under a running guest: as few moves as possible."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.host.model import CPU, AllowedCPUs, Host
from launcher.planner.assembly import assemble
from launcher.planner.model import Cell, Pinning, Reason
from launcher.planner.optimum.placement import Placement, place, scored, settled_in_turns
from launcher.planner.optimum.vacancy import Vacancy
from launcher.planner.plan import share
from launcher.planner.setting import Setting, setting_of
from launcher.vmi.guest import Guest, Topology


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
    return assemble(
        setting,
        placement,
        cells=pinning.cells,
        warnings=_away_from_memory(pinning.cells, placement.vcpus),
        reasons=_moves_in_words(pinning, placement.vcpus),
    )


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


def resettle(vacancy: Vacancy, topology: Topology) -> Placement:
    """Choose the movers' and the housekeeping's CPUs, best by the score for the vCPUs that stay.

    First come vCPUs on the node of their cell, then movers on quiet CPUs and housekeeping on others, then the score,
    then movers on the nodes of the guest's devices, then housekeeping where it was, then low CPU numbers. Exact where
    the states are few enough for the effort, or where those that were left out cannot score better; the placement is
    sure of that.
    """
    found = settled_in_turns(vacancy, topology)
    if found is None:
        raise AssertionError("there is a free CPU for every mover")
    if found.sure or vacancy.kept or vacancy.home_nodes or vacancy.quiet:
        return found
    # No vCPU stays: as at the start.
    anew = place(vacancy.free, topology, vacancy.housekeeping)
    return found if found.score <= anew.score else anew


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
