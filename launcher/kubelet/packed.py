"""The CPU manager's packed allocation: the largest whole free units first, each from the fullest part of the machine.

The rules are those of Kubernetes' static policy (pkg/kubelet/cm/cpumanager, cpu_assignment.go), with what it does where
units are of unequal size, such as where CPUs are offline: a core or socket counts as free when as many of its CPUs are
free as units have on average, and then all of it is taken, **CPUs that were not to be had included**.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.kubelet.errors import AllocationFailed, NotEnoughCPUs
from launcher.kubelet.topology import Topology, Unit, cpus_of


class _Taking(Struct, frozen=True, kw_only=True):
    """An allocation under way: what is taken, what is free still, and how many are needed by the kubelet's count."""

    taken: int
    free: int
    need: int

    def take(self, cpus: int) -> _Taking:
        return _Taking(taken=self.taken | cpus, free=self.free & ~cpus, need=self.need - cpus.bit_count())


_Step: TypeAlias = Callable[[Topology, _Taking], _Taking]


def take_packed(
    topology: Topology, available: CPUSet, count: int, *, spread: bool = False, by_cache: bool = False
) -> CPUSet:
    """Take `count` of the available CPUs: whole nodes and sockets, whole caches if `by_cache`, cores, single CPUs.

    `spread` (distribute-cpus-across-cores) takes no whole cores, and single CPUs of a socket by number. Raises
    NotEnoughCPUs, and AllocationFailed where the kubelet loses count.
    """
    taking = _Taking(taken=0, free=available.mask & topology.cpus, need=count)
    if taking.need > taking.free.bit_count():
        raise NotEnoughCPUs(requested=count, available=len(available))
    for step in _steps(topology, spread=spread, by_cache=by_cache):
        if taking.need > 0:
            taking = step(topology, taking)
    if taking.need > 0:
        raise AllocationFailed("failed to allocate cpus")
    return CPUSet(taking.taken)


def _steps(topology: Topology, *, spread: bool, by_cache: bool) -> tuple[_Step, ...]:
    large = (_whole_sockets, _whole_nodes) if topology.sockets_first else (_whole_nodes, _whole_sockets)
    caches = (_caches,) if by_cache else ()
    return (*large, *caches, *((_single_cpus_spread,) if spread else (_whole_cores, _single_cpus)))


def _whole_nodes(topology: Topology, taking: _Taking) -> _Taking:
    return _whole(topology.ordered_nodes(taking.free), taking)


def _whole_sockets(topology: Topology, taking: _Taking) -> _Taking:
    return _whole(topology.ordered_sockets(taking.free), taking, size=topology.cpus_per_socket)


def _whole_caches(topology: Topology, taking: _Taking) -> _Taking:
    return _whole(topology.ordered_caches(taking.free), taking)


def _whole_cores(topology: Topology, taking: _Taking) -> _Taking:
    return _whole(topology.ordered_cores(taking.free), taking, size=topology.cpus_per_core)


def _single_cpus(topology: Topology, taking: _Taking) -> _Taking:
    return _first(topology.ordered_cores(taking.free), taking)


def _single_cpus_spread(topology: Topology, taking: _Taking) -> _Taking:
    return _first(topology.ordered_sockets(taking.free), taking)


def _whole(units: Iterable[Unit], taking: _Taking, *, size: int | None = None) -> _Taking:
    """Take the units that are free, which is judged before the first one is taken; `size` is their average."""
    free = [unit for unit in units if (unit.cpus & taking.free).bit_count() == (size or unit.cpus.bit_count())]
    for unit in free:
        if unit.cpus.bit_count() <= taking.need:
            taking = taking.take(unit.cpus)
    return taking


def _first(units: Iterable[Unit], taking: _Taking) -> _Taking:
    for cpu in [cpu for unit in units for cpu in cpus_of(unit.cpus & taking.free)]:
        if taking.need > 0:
            taking = taking.take(1 << cpu)
    return taking


def _caches(topology: Topology, taking: _Taking) -> _Taking:
    """Take whole caches while the need is at least an average one; then all that is left from one cache, or nothing."""
    for cache in topology.ordered_caches(taking.free):
        if taking.need >= topology.cpus_per_cache:
            taking = _whole_caches(topology, taking)
        if taking.need > 0:
            taking = _part(topology, cache, taking)
    return taking


def _part(topology: Topology, cache: Unit, taking: _Taking) -> _Taking:
    """Take what is needed from the first cores of a cache, if they have it to the CPU."""
    cores = [core for core in topology.cores if core.cpus & cache.cpus & taking.free]
    part = sum(core.cpus for core in cores[: -(-taking.need // topology.cpus_per_core)]) & taking.free
    if taking.need % 2 and topology.cpus_per_core > 1 and part.bit_count() > taking.need:
        part ^= 1 << part.bit_length() - 1
    return taking.take(part) if part.bit_count() == taking.need else taking
