"""The host as the CPU manager sees it: units (NUMA nodes, sockets, caches, cores) as sets of CPUs, and their order.

Its eyes are cAdvisor's (utils/sysinfo, GetNodesInfo): CPUs that are offline are not there, a core is of one socket and
node, and a cache that all CPUs of a node share is none (then the socket stands for it). The sizes of units are averages
over the machine, rounded down, as pkg/kubelet/cm/cpumanager/topology has them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.host.model import CPU, NO_NODE, Host

# cAdvisor has caches up to this level for a core's own, whoever shares them (utils/sysinfo, cacheLevel2).
_CORE_LEVELS = 2


class Unit(Struct, frozen=True):
    """A part of the machine: its id and the mask of all its CPUs, free or not."""

    id: int
    cpus: int


class Topology(Struct, frozen=True, kw_only=True):
    """The CPUs that the kubelet knows, as masks, and the units they form, each tuple ascending by id.

    A core's id is its lowest CPU. Where a machine has more NUMA nodes than sockets, `sockets_first` holds and a socket
    is taken as made of nodes; else a node is taken as made of sockets. `distances` has a row for every NUMA node, those
    without CPUs among them; `size` counts the CPUs.
    """

    cpus: int
    size: int
    nodes: tuple[Unit, ...]
    sockets: tuple[Unit, ...]
    caches: tuple[Unit, ...]
    cores: tuple[Unit, ...]
    distances: tuple[tuple[int, ...], ...] = ()

    @property
    def sockets_first(self) -> bool:
        """Whether sockets are the largest units."""
        return len(self.sockets) < len(self.nodes)

    @property
    def cpus_per_core(self) -> int:
        """The CPUs of a core as the kubelet counts them."""
        return self.size // len(self.cores) if self.cores else 1

    @property
    def cpus_per_socket(self) -> int:
        """The CPUs of a socket as the kubelet counts them."""
        return self.size // len(self.sockets) if self.sockets else 0

    @property
    def cpus_per_cache(self) -> int:
        """The CPUs of a last-level cache as the kubelet counts them."""
        return self.size // len(self.caches) if self.caches else 0

    def ordered_nodes(self, free: int) -> list[Unit]:
        """Return the NUMA nodes with free CPUs, in the order of the packed allocation: the fullest first."""
        if self.sockets_first:
            return _within(self.nodes, _ascending(self.sockets, free), free)
        return _ascending(self.nodes, free)

    def ordered_sockets(self, free: int) -> list[Unit]:
        """Return the sockets with free CPUs, in the order of the packed allocation."""
        if self.sockets_first:
            return _ascending(self.sockets, free)
        return _within(self.sockets, _ascending(self.nodes, free), free)

    def ordered_caches(self, free: int) -> list[Unit]:
        """Return the last-level caches with free CPUs, in the order of their nodes: sockets have no say here."""
        return _within(self.caches, self.ordered_nodes(free), free)

    def ordered_cores(self, free: int) -> list[Unit]:
        """Return the cores with free CPUs, in the order of the smaller of the units that contain them."""
        parents = self.ordered_nodes(free) if self.sockets_first else self.ordered_sockets(free)
        return _within(self.cores, parents, free)

    def mask_of_nodes(self, nodes: Iterable[int]) -> int:
        """Return the CPUs of the NUMA nodes with these ids."""
        wanted = frozenset(nodes)
        return sum(node.cpus for node in self.nodes if node.id in wanted)


def topology_of(host: Host) -> Topology:
    """Return the kubelet's view of a host.

    Where some CPUs lie in a NUMA node, it does not know those that do not; where none does, each socket is a node, and
    CPUs that are offline are counted.
    """
    known = tuple(cpu for cpu in host.cpus if cpu.node != NO_NODE)
    has_nodes = bool(known)
    known = known or host.cpus
    node_of: Callable[[CPU], int] = (lambda cpu: cpu.node) if has_nodes else (lambda cpu: cpu.socket)
    cores = _cores(known, node_of)
    uncore = _uncore_caches(known, node_of, cores)
    return Topology(
        cpus=CPUSet.of(cpu.cpu for cpu in known).mask,
        size=len(known) + (0 if has_nodes else len(host.offline)),
        nodes=_units(known, node_of),
        sockets=_units(known, lambda cpu: cpu.socket),
        caches=_units(known, lambda cpu: uncore[cpu.cpu]),
        cores=tuple(sorted((Unit(CPUSet(mask).lowest, mask) for mask in cores.values()), key=lambda unit: unit.id)),
        distances=tuple(tuple(distance for _, distance in node.distances) for node in host.nodes),
    )


def cpus_of(mask: int) -> Iterator[int]:
    """Iterate over the CPU numbers of a mask, ascending."""
    return iter(CPUSet(mask))


def _units(cpus: Iterable[CPU], unit_of: Callable[[CPU], int]) -> tuple[Unit, ...]:
    masks: dict[int, int] = {}
    for cpu in cpus:
        masks[unit_of(cpu)] = masks.get(unit_of(cpu), 0) | 1 << cpu.cpu
    return tuple(Unit(key, masks[key]) for key in sorted(masks))


def _cores(cpus: Iterable[CPU], node_of: Callable[[CPU], int]) -> dict[tuple[int, int, int], int]:
    """Return the CPUs of each core, a core being what one node has of it."""
    masks: dict[tuple[int, int, int], int] = {}
    for cpu in cpus:
        key = node_of(cpu), cpu.socket, cpu.core
        masks[key] = masks.get(key, 0) | 1 << cpu.cpu
    return masks


def _uncore_caches(
    cpus: tuple[CPU, ...], node_of: Callable[[CPU], int], cores: Mapping[tuple[int, int, int], int]
) -> dict[int, int]:
    """Return the cache that the kubelet has each CPU in.

    cAdvisor takes a cache for the node's where as many CPUs share it as the node would have if all its cores were like
    this one (addCacheInfo); the kubelet then takes the socket's number (topology.go, getUncoreCacheID), which may also
    be that of another cache. So it does where the last level is the second (_CORE_LEVELS): clusters of small cores.
    """
    sharing = Counter(cpu.cache for cpu in cpus)
    cores_of_node = Counter(node for node, _, _ in cores)
    uncore: dict[int, int] = {}
    for cpu in cpus:
        node = node_of(cpu)
        threads = cores[node, cpu.socket, cpu.core].bit_count()
        is_of_node = sharing[cpu.cache] == cores_of_node[node] * threads
        is_known = cpu.cache_level > _CORE_LEVELS and not is_of_node
        uncore[cpu.cpu] = cpu.cache if is_known else cpu.socket
    return uncore


def _ascending(units: Iterable[Unit], free: int) -> list[Unit]:
    return sorted(
        (unit for unit in units if unit.cpus & free), key=lambda unit: ((unit.cpus & free).bit_count(), unit.id)
    )


def _within(units: Iterable[Unit], parents: Iterable[Unit], free: int) -> list[Unit]:
    """Return the units with free CPUs in the order of their parents; a unit of two parents stands there twice."""
    ordered: list[Unit] = []
    for parent in parents:
        ordered += _ascending((unit for unit in units if unit.cpus & parent.cpus & free), free)
    return ordered
