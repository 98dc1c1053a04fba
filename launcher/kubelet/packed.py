"""The CPU manager's packed allocation: the largest whole free units first, each from the fullest part of the machine.

The rules are those of Kubernetes' static policy (pkg/kubelet/cm/cpumanager, cpu_assignment.go). One thing is better
here: a unit counts as free only if every one of its CPUs is, where the kubelet compares with the machine's average and
so misjudges cores of unequal size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from launcher.cpuset import CPUSet
from launcher.kubelet.errors import NotEnoughCPUs
from launcher.kubelet.topology import Topology, Unit, cpus_of

# A step takes from the topology, the mask of free CPUs and the count still needed; it returns the mask it took.
_Step: TypeAlias = Callable[[Topology, int, int], int]


def take_packed(
    topology: Topology, available: CPUSet, count: int, *, spread: bool = False, by_cache: bool = False
) -> CPUSet:
    """Take `count` of the available CPUs: whole nodes and sockets, whole caches if `by_cache`, cores, single CPUs.

    `spread` (distribute-cpus-across-cores) takes no whole cores, and single CPUs of a socket by number. Raises
    NotEnoughCPUs.
    """
    if count > len(available):
        raise NotEnoughCPUs(requested=count, available=len(available))
    taken = 0
    for step in _steps(spread=spread, by_cache=by_cache):
        need = count - taken.bit_count()
        if need > 0:
            taken |= step(topology, available.mask & ~taken, need)
    return CPUSet(taken)


def _steps(*, spread: bool, by_cache: bool) -> tuple[_Step, ...]:
    large = (_whole_outer_units, _whole_inner_units)
    caches = (_caches,) if by_cache else ()
    return (*large, *caches, *((_single_cpus_spread,) if spread else (_whole_cores, _single_cpus)))


def _whole_outer_units(topology: Topology, free: int, need: int) -> int:
    return _whole(topology.outer(free), free, need)


def _whole_inner_units(topology: Topology, free: int, need: int) -> int:
    return _whole(topology.inner(free), free, need)


def _whole_cores(topology: Topology, free: int, need: int) -> int:
    return _whole(topology.ordered_cores(free), free, need)


def _single_cpus(topology: Topology, free: int, need: int) -> int:
    return _first(topology.ordered_cores(free), free, need)


def _single_cpus_spread(topology: Topology, free: int, need: int) -> int:
    return _first(topology.ordered_sockets(free), free, need)


def _caches(topology: Topology, free: int, need: int) -> int:
    """Take whole caches if the need is at least an average one, then all that is left from one cache, or nothing."""
    caches = topology.ordered_caches(free)
    taken = _whole(caches, free, need) if need >= topology.cpus_per_cache else 0
    need -= taken.bit_count()
    for cache in caches if need else ():
        part = _part(topology, cache, free & ~taken, need)
        if part.bit_count() == need:
            return taken | part
    return taken


def _part(topology: Topology, cache: Unit, free: int, need: int) -> int:
    """Return the free CPUs of the first cores of a cache, as many cores as hold `need` CPUs."""
    cores = [core for core in topology.cores if core.cpus & cache.cpus & free]
    part = 0
    for core in cores[: -(-need // topology.cpus_per_core)]:
        part |= core.cpus & free
    if need % 2 and topology.cpus_per_core > 1 and part.bit_count() > need:
        part ^= 1 << part.bit_length() - 1
    return part


def _whole(units: Iterable[Unit], free: int, need: int) -> int:
    taken = 0
    for unit in units:
        size = unit.cpus.bit_count()
        if size <= need and unit.cpus & ~free == 0:
            taken |= unit.cpus
            free &= ~unit.cpus
            need -= size
    return taken


def _first(units: Iterable[Unit], free: int, need: int) -> int:
    taken = 0
    for unit in units:
        for cpu in cpus_of(unit.cpus & free & ~taken):
            if need == 0:
                return taken
            taken |= 1 << cpu
            need -= 1
    return taken
