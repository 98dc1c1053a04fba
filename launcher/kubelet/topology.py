"""The host as the CPU manager sees it: units (NUMA nodes, sockets, caches, cores) as sets of CPUs, and their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.host.model import CPU, NO_NODE, Host


class Unit(Struct, frozen=True):
    """A part of the machine: its id and the mask of all its CPUs, free or not."""

    id: int
    cpus: int


class Topology(Struct, frozen=True, kw_only=True):
    """The CPUs that the kubelet knows, as masks, and the units they form, each tuple ascending by id.

    A core's id is its lowest CPU. Where a machine has more NUMA nodes than sockets, `sockets_first` holds and a socket
    is taken as made of nodes; else a node is taken as made of sockets.
    """

    cpus: int
    nodes: tuple[Unit, ...]
    sockets: tuple[Unit, ...]
    caches: tuple[Unit, ...]
    cores: tuple[Unit, ...]

    @property
    def sockets_first(self) -> bool:
        """Whether sockets are the largest units."""
        return len(self.sockets) < len(self.nodes)

    @property
    def cpus_per_core(self) -> int:
        """The CPUs of a core as the kubelet counts them: the average over the machine, rounded down."""
        return self.cpus.bit_count() // len(self.cores) if self.cores else 1

    @property
    def cpus_per_cache(self) -> int:
        """The CPUs of a last-level cache as the kubelet counts them: the average over the machine, rounded down."""
        return self.cpus.bit_count() // len(self.caches) if self.caches else 0

    def outer(self, free: int) -> list[Unit]:
        """Return the largest units that have free CPUs: those with the fewest first, then the lowest id."""
        return _ascending(self.sockets if self.sockets_first else self.nodes, free)

    def inner(self, free: int) -> list[Unit]:
        """Return the second-largest units with free CPUs, in the order of the units that contain them."""
        return _within(self.nodes if self.sockets_first else self.sockets, self.outer(free), free)

    def ordered_caches(self, free: int) -> list[Unit]:
        """Return the last-level caches with free CPUs, in the order of the units that contain them."""
        return _within(self.caches, self.inner(free), free)

    def ordered_cores(self, free: int) -> list[Unit]:
        """Return the cores with free CPUs, in the order of the units that contain them."""
        return _within(self.cores, self.inner(free), free)

    def ordered_nodes(self, free: int) -> list[Unit]:
        """Return the NUMA nodes with free CPUs, in the order of the packed allocation."""
        return self.inner(free) if self.sockets_first else self.outer(free)

    def ordered_sockets(self, free: int) -> list[Unit]:
        """Return the sockets with free CPUs, in the order of the packed allocation."""
        return self.outer(free) if self.sockets_first else self.inner(free)


def topology_of(host: Host) -> Topology:
    """Return the kubelet's view of a host.

    Where some CPUs lie in a NUMA node, it does not know those that do not; where none does, all form node 0.
    """
    known = tuple(cpu for cpu in host.cpus if cpu.node != NO_NODE) or host.cpus
    return Topology(
        cpus=CPUSet.of(cpu.cpu for cpu in known).mask,
        nodes=_units(known, lambda cpu: max(cpu.node, 0)),
        sockets=_units(known, lambda cpu: cpu.socket),
        caches=_units(known, lambda cpu: cpu.cache),
        cores=_cores(known),
    )


def cpus_of(mask: int) -> Iterator[int]:
    """Iterate over the CPU numbers of a mask, ascending."""
    return iter(CPUSet(mask))


def _units(cpus: Iterable[CPU], unit_of: Callable[[CPU], int]) -> tuple[Unit, ...]:
    masks: dict[int, int] = {}
    for cpu in cpus:
        masks[unit_of(cpu)] = masks.get(unit_of(cpu), 0) | 1 << cpu.cpu
    return tuple(Unit(key, masks[key]) for key in sorted(masks))


def _cores(cpus: Iterable[CPU]) -> tuple[Unit, ...]:
    masks = (unit.cpus for unit in _units(cpus, lambda cpu: cpu.core))
    return tuple(sorted((Unit(CPUSet(mask).lowest, mask) for mask in masks), key=lambda unit: unit.id))


def _ascending(units: Iterable[Unit], free: int) -> list[Unit]:
    return sorted(
        (unit for unit in units if unit.cpus & free), key=lambda unit: ((unit.cpus & free).bit_count(), unit.id)
    )


def _within(units: Iterable[Unit], parents: Iterable[Unit], free: int) -> list[Unit]:
    """Return the units with free CPUs in the order of their parents; a unit of two parents counts for the first."""
    ordered: dict[Unit, None] = {}
    for parent in parents:
        children = (unit for unit in units if unit.cpus & parent.cpus & free)
        ordered.update(dict.fromkeys(_ascending(children, free)))
    return list(ordered)
