"""The certificate: the least that each term can be, by counting alone. It shares nothing with the search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from launcher.host.model import CPU
from launcher.planner.model import Score
from launcher.vmi.guest import Topology


def least_terms(
    cpus: Sequence[CPU],
    topology: Topology,
    housekeeping: int,
    score: Score,
    most_cores: Mapping[int, int] | None = None,
) -> tuple[int, int, int, int, int, int]:
    """Return for each term a number that no placement is below which is as good as this score in the terms before.

    `most_cores` are the guest cores that nodes can carry at most, where their memory limits them.
    """
    nodes = Counter(cpu.node for cpu in cpus)
    free = list(Counter((cpu.node, cpu.core) for cpu in cpus).values())
    areas = Counter((cpu.node, cpu.cache) for cpu in cpus)
    # No node gives a part of a guest core where none lies across nodes.
    odd = {node: 0 if score.cores_across_nodes else size % topology.threads for node, size in nodes.items()}
    node_sizes = [size - odd[node] for node, size in nodes.items()]
    if most_cores is not None:
        limits = [topology.threads * most_cores.get(node, 0) for node in nodes]
        node_sizes = [min(size, limit) for size, limit in zip(node_sizes, limits, strict=True)]
    caches: Counter[int] = Counter()
    for (node, cache), size in areas.items():
        caches[cache] += size - (odd[node] if size == nodes[node] else 0)
    cache_crossings = _crossings(list(caches.values()), topology)
    if len(areas) == len(caches):
        cache_crossings = max(cache_crossings, score.node_crossings)
    return (
        _across(nodes.values(), topology, housekeeping),
        _across(free, topology, housekeeping),
        _beside(free, topology, housekeeping),
        _crossings(node_sizes, topology),
        _fewest(node_sizes, topology.vcpus),
        cache_crossings,
    )


def _across(places: Iterable[int], topology: Topology, others: int) -> int:
    """Count the guest cores that these places cannot hold inside: other CPUs take what is left over first."""
    sizes, threads = list(places), topology.threads
    left_over = sum(size % threads for size in sizes)
    lost = -(-max(0, others - left_over) // threads)
    return max(0, topology.sockets * topology.cores + lost - sum(size // threads for size in sizes))


def _beside(cores: Iterable[int], topology: Topology, housekeeping: int) -> int:
    """Count the vCPUs for which the cores without housekeeping have no CPU."""
    sizes = list(cores)
    sums = 1
    for size in sizes:
        sums |= sums << size
    enough = sums >> housekeeping
    # The fewest free CPUs that cores with room for the housekeeping have.
    taken = housekeeping + (enough & -enough).bit_length() - 1
    return max(0, topology.vcpus - (sum(sizes) - taken))


def _fewest(sizes: Iterable[int], cpus: int) -> int:
    """Count how many of the largest hold so many CPUs."""
    count = 0
    for size in sorted(sizes, reverse=True):
        if cpus <= 0:
            break
        cpus -= size
        count += 1
    return count


def _crossings(sizes: Sequence[int], topology: Topology) -> int:
    """Count what guest sockets cross at least.

    Places that are used less the groups that share sockets, which are no more than the sockets. And each place that
    does not hold whole sockets by itself shares them with another: only so many can, as CPUs may stay without a vCPU.
    Housekeeping is among those.
    """
    socket = topology.cores * topology.threads
    idle = sum(sizes) - topology.vcpus
    sharing = 0
    for waste in sorted(size % socket for size in sizes):
        idle -= waste
        sharing += idle < 0
    return max(0, _fewest(sizes, topology.vcpus) - topology.sockets, -(-sharing // 2))
