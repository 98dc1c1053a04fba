"""Which CPUs of the cpuset are the guest's own and which it shares, and whether environment and cpuset agree.

vCPUs and IOThreads of the pool go to its own; the emulator, the other IOThreads and QEMU's floating threads to those
that are shared or take interrupts, where there are any: an isolated emulator then needs no CPU of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from msgspec import Struct
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.errors import CPUsContradict
from launcher.host.model import AllowedCPUs, Owners, ToldCPUs
from launcher.planner.demand import CPUDemand, cpu_demand
from launcher.vmi.guest import Guest


class Ownership(Struct, frozen=True, kw_only=True):
    """The cpuset divided: the guest's own CPUs, the common ones, and a few words that say who told so ("" nobody)."""

    own: CPUSet
    common: CPUSet = CPUSet()
    source: str = ""


def ownership_of(allowed: AllowedCPUs, *, has_changed: bool = False) -> Ownership:
    """Divide the cpuset by what the environment says of it; what it says of CPUs that are not there counts for nothing.

    What is isolated or claimed is the guest's own, but for the CPUs on which interrupts land. Without either, and in a
    cpuset that `has_changed` since the environment was made, it is whatever is not shared.
    """
    owners, cpuset = allowed.owners, allowed.cpus
    told = [one for one in (owners.isolated, *owners.claims) if one is not None]
    own = _union(told) & cpuset if told and not has_changed else cpuset - _cpus(owners.shared)
    own = own - _cpus(owners.housekeeping)
    return Ownership(own=own, common=cpuset - own, source=", ".join(one.source for one in _told(owners)))


def demand_over(guest: Guest, common: CPUSet) -> CPUDemand:
    """Count the CPUs that the guest needs for itself: where there are common ones, none for an isolated emulator,
    vCPUs that share, and vhost's threads."""
    demand = cpu_demand(guest)
    return replace(demand, emulator=0, shared=0, vhost=0) if common and guest.cpu.dedicated else demand


def check_owners(allowed: AllowedCPUs) -> None:
    """Raise CPUsContradict where two variables, or one and the cpuset, cannot both be true; it names both."""
    for words in _contradictions(allowed):
        raise CPUsContradict(words)


def _contradictions(allowed: AllowedCPUs) -> Iterator[str]:
    owners = allowed.owners
    cpuset = ToldCPUs(cpus=allowed.cpus, source=allowed.source)
    for one in _told(owners):
        if one.cpus - cpuset.cpus:
            yield f"{_named(one)} names CPUs {one.cpus - cpuset.cpus}, which {_named(cpuset)} does not hold"
    yield from _overlaps(owners)
    claimed = _union(owners.claims)
    if owners.isolated is not None and owners.claims and owners.isolated.cpus != claimed:
        yield f"{_named(owners.isolated)} and {' and '.join(map(_named, owners.claims))} do not name the same CPUs"
    if owners.isolated is not None and owners.shared is not None:
        unnamed = cpuset.cpus - _union(_told(owners))
        if unnamed:
            yield (
                f"{_named(cpuset)} holds CPUs {unnamed}, which neither {_named(owners.isolated)} nor "
                f"{_named(owners.shared)} names"
            )


def _overlaps(owners: Owners) -> Iterator[str]:
    """Name each two of which a CPU can only be one: shared, or the container's own; of this claim, or of that."""
    shared = () if owners.shared is None else (owners.shared,)
    isolated = () if owners.isolated is None else (owners.isolated,)
    pairs = [(one, other) for one in (*isolated, *owners.claims) for other in shared]
    for one, other in (*pairs, *combinations(owners.claims, 2)):
        if one.cpus & other.cpus:
            yield f"{_named(one)} and {_named(other)} both name CPUs {one.cpus & other.cpus}"


def _told(owners: Owners) -> tuple[ToldCPUs, ...]:
    return tuple(
        one for one in (owners.isolated, owners.shared, owners.housekeeping, *owners.claims) if one is not None
    )


def _union(told: tuple[ToldCPUs, ...] | list[ToldCPUs]) -> CPUSet:
    return CPUSet.of(cpu for one in told for cpu in one.cpus)


def _cpus(told: ToldCPUs | None) -> CPUSet:
    return CPUSet() if told is None else told.cpus


def _named(told: ToldCPUs) -> str:
    return f"{told.source} ({told.cpus})"
