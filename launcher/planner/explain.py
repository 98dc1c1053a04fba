"""Why every thread is where it is, in words, read off the finished placement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from launcher.cpuset import CPUSet
from launcher.host.model import CPU
from launcher.planner.model import Reason, Score
from launcher.planner.ownership import Ownership
from launcher.planner.refusal import parity_advice
from launcher.planner.roles import Roles
from launcher.planner.setting import Setting
from launcher.vmi.guest import Guest, IOThreadsPolicy

if TYPE_CHECKING:
    from launcher.planner.optimum.placement import Placement


def explain_roles(setting: Setting, placement: Placement, roles: Roles) -> tuple[Reason, ...]:
    """Give one sentence for the emulator and one for each IOThread."""
    ownership = setting.ownership
    if ownership.common and roles.emulator <= ownership.common:
        text = f"{_cpus(roles.emulator)}, not of the guest's own by {ownership.source}"
    else:
        text = _emulator_reason(setting, placement, roles)
    return (
        *_shared_reasons(placement, roles, ownership),
        Reason(thread="emulator", text=text),
        *_iothread_reasons(setting, placement, roles),
        *([Reason(thread="vhost", text=f"{_cpus(roles.vhost)} for vhost's threads alone")] if roles.vhost else []),
    )


def _shared_reasons(placement: Placement, roles: Roles, ownership: Ownership) -> Iterator[Reason]:
    alone = CPUSet.of(cpu.cpu for cpu in placement.vcpus)
    for pin in roles.shared:
        others = [f"vCPU {other.vcpu}" for other in roles.shared if other.vcpu != pin.vcpu and other.cpus & pin.cpus]
        others += ["the emulator"] if roles.emulator & pin.cpus else []
        where = f", not of the guest's own by {ownership.source}" if pin.cpus <= ownership.common else ""
        beside = "; these are other vCPUs' own: the cpuset has no CPU left" if pin.cpus & alone else ""
        with_whom = f"shared with {' and '.join(others)}" if others else "shared with QEMU's own threads"
        yield Reason(thread=f"vcpu {pin.vcpu}", text=f"{_cpus(pin.cpus)}, {with_whom}{where}{beside}")


def _occupied(guest: Guest, placement: Placement) -> Mapping[int, str]:
    return {cpu.cpu: f"vCPU {vcpu}" for vcpu, cpu in zip(guest.cpu.placed_vcpus, placement.vcpus, strict=True)}


def score_in_words(score: Score) -> str:
    """Say the score in words, term by term."""
    split, across = score.cores_split, score.cores_across_nodes
    parts = [
        f"{_count(split, 'guest core')} split over host cores{f', {across} of them over NUMA nodes' if across else ''}",
        f"{_count(score.vcpus_beside_housekeeping, 'vCPU')} beside housekeeping",
        f"{_count(score.nodes_used, 'NUMA node')} used, {_count(score.node_crossings, 'crossing')} by guest sockets",
        f"{_count(score.cache_crossings, 'last-level cache')} crossed by guest sockets",
    ]
    return "; ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def explain_vcpus(setting: Setting, placement: Placement) -> Iterator[Reason]:
    """Say what the kubelet may refuse, then one sentence for each vCPU, which states facts of this placement."""
    advice = parity_advice(setting.host, setting.demand)
    if advice:
        yield Reason(thread="placement", text=advice)
    guest, occupied = setting.guest, _occupied(setting.guest, placement)
    threads, ids = guest.cpu.topology.threads, guest.cpu.placed_vcpus
    cores: dict[int, list[CPU]] = defaultdict(list)
    for cpu in setting.usable:
        cores[cpu.core].append(cpu)
    reserved = {cpu.core: cpu.cpu for cpu in placement.housekeeping}
    for start in range(0, len(placement.vcpus), threads):
        members = placement.vcpus[start : start + threads]
        shape = _guest_core_shape(ids[start] // threads, members) if threads > 1 else ""
        for offset, cpu in enumerate(members):
            text = shape or _alone_or_not(cpu, cores[cpu.core], occupied)
            if cpu.core in reserved:
                text += (
                    f"; beside housekeeping CPU {reserved[cpu.core]}, because the places away from housekeeping that "
                    "rank before this one are all taken"
                )
            yield Reason(thread=f"vcpu {ids[start + offset]}", text=f"CPU {cpu.cpu}: {text}")


def _guest_core_shape(number: int, members: Sequence[CPU]) -> str:
    cores = sorted({cpu.core for cpu in members})
    nodes = sorted({cpu.node for cpu in members})
    if len(cores) == 1:
        return f"guest core {number} lies whole on core {cores[0]} of node {nodes[0]}"
    listed = CPUSet.of(cores)
    if len(nodes) == 1:
        return (
            f"guest core {number} is split over cores {listed} of node {nodes[0]}, because no host core "
            f"has {len(members)} CPUs left for it"
        )
    return (
        f"guest core {number} is split over cores {listed} of nodes {CPUSet.of(node for node in nodes if node >= 0)}, "
        f"because no node has {len(members)} CPUs left for it"
    )


def _alone_or_not(cpu: CPU, siblings: Sequence[CPU], occupied: Mapping[int, str]) -> str:
    others = [occupied[other.cpu] for other in siblings if other.cpu != cpu.cpu and other.cpu in occupied]
    place = f"core {cpu.core} of node {cpu.node}"
    if others:
        return f"on {place}, which it shares with {', '.join(others)}"
    if len(siblings) == 1:
        return f"the only CPU of {place} in the cpuset"
    return f"on {place}, which no other vCPU uses"


def _emulator_reason(setting: Setting, placement: Placement, roles: Roles) -> str:
    usable, occupied, listed = setting.usable, _occupied(setting.guest, placement), _cpus(roles.emulator)
    if setting.guest.cpu.isolate_emulator_thread and roles.emulator <= CPUSet.of(
        cpu.cpu for cpu in placement.housekeeping
    ):
        return (
            f"{listed} to the emulator alone (isolateEmulatorThread): {_neighbours(roles.emulator, usable, occupied)}"
        )
    if any(pin.cpus & roles.emulator for pin in roles.shared) and not roles.emulator & CPUSet.of(occupied):
        return f"{listed}, with the vCPUs that share"
    carrying = [occupied[cpu] for cpu in roles.emulator if cpu in occupied]
    if carrying and len(roles.emulator) < len(usable):
        why = "isolated CPUs move no thread" if roles.is_single else "it keeps off realtime vCPUs and isolated CPUs"
        return f"{listed}, beside {', '.join(carrying)}: no CPU is left over for the emulator, and {why}"
    if roles.is_single:
        return f"{listed} of those left over by the vCPUs, one alone: they are isolated, and no thread is moved there"
    if len(roles.emulator) == len(usable):
        return f"{listed}, the whole cpuset: no CPU is left over for the emulator"
    quiet = {cpu.core for cpu in placement.vcpus}.isdisjoint(cpu.core for cpu in usable if cpu.cpu in roles.emulator)
    return f"{listed}, left over by the vCPUs{', on cores without a vCPU' if quiet else ''}"


def _neighbours(cpus: CPUSet, usable: Sequence[CPU], occupied: Mapping[int, str]) -> str:
    cores = {cpu.core for cpu in usable if cpu.cpu in cpus}
    others = [cpu for cpu in usable if cpu.core in cores and cpu.cpu not in cpus]
    sharing = [occupied[cpu.cpu] for cpu in others if cpu.cpu in occupied]
    if sharing:
        listed = ", ".join(sharing)
        return f"its core also carries {listed}, because no choice as good for the guest cores leaves fewer beside it"
    if not others:
        return "its core has no other CPU in the cpuset"
    return "no vCPU is on its core"


def _iothread_reasons(setting: Setting, placement: Placement, roles: Roles) -> Iterator[Reason]:
    guest = setting.guest
    pool = guest.io_threads.policy is IOThreadsPolicy.SUPPLEMENTAL_POOL
    reserved = CPUSet.of(cpu.cpu for cpu in placement.housekeeping)
    for pin in roles.iothreads:
        if pool and pin.cpus <= reserved and pin.cpus != roles.emulator:
            text = f"{_cpus(pin.cpus)} of its own, out of the supplemental pool's"
        elif pool:
            text = f"{_cpus(pin.cpus)}, as the emulator: the cpuset has no CPU left for the supplemental pool"
        elif pin.cpus <= setting.ownership.common:
            text = f"{_cpus(pin.cpus)}, as the emulator: not of the guest's own CPUs"
        elif guest.cpu.isolate_emulator_thread:
            text = f"{_cpus(pin.cpus)}, the emulator's: an isolated emulator takes the IOThreads with it"
        elif roles.is_single:
            text = f"{_cpus(pin.cpus)} alone: it could float on isolated CPUs only, where no thread is moved"
        else:
            text = f"{_cpus(pin.cpus)}, as the emulator: the guest asks for no CPU of its own for IOThreads"
        yield Reason(thread=f"iothread {pin.iothread}", text=text)


def _cpus(cpus: CPUSet) -> str:
    return f"CPU{'' if len(cpus) == 1 else 's'} {cpus}"
