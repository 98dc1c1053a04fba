"""An exhaustive search for the best placement under NUMA passthrough: every placement up to what is interchangeable.

Guest sockets, the cores of one and the threads of a core are interchangeable; nothing else is left out. Memory is
independent of the planner, too: whole pages, of which a node has its exact share rounded down or one more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from launcher.host.model import CPU, NO_NODE
from launcher.planner.model import Score
from launcher.planner.terms import score
from launcher.vmi.guest import Topology


def best_score_in_cells(
    cpus: Sequence[CPU], topology: Topology, housekeeping: int, pages: int, free: Mapping[int, int]
) -> Score | None:
    """Return the least score of any placement with memory and no guest core across nodes; None if there is none."""
    ordered = sorted(cpus, key=lambda cpu: cpu.cpu)
    scores = [
        score(vcpus, topology, reserved)
        for reserved in combinations(ordered, housekeeping)
        for vcpus in _seatings([cpu for cpu in ordered if cpu not in reserved], topology)
        if _has_memory(Counter(cpu.node for cpu in vcpus), pages, free)
    ]
    return min(scores, default=None)


def _seatings(cpus: Sequence[CPU], topology: Topology) -> Iterator[tuple[CPU, ...]]:
    """Yield the vCPUs' CPUs; the first socket still to be seated has the lowest CPU of those to come."""
    for sockets in _sockets(cpus, topology, topology.sockets, -1):
        yield tuple(cpu for socket in sockets for core in socket for cpu in core)


def _sockets(
    cpus: Sequence[CPU], topology: Topology, count: int, floor: int
) -> Iterator[tuple[tuple[tuple[CPU, ...], ...], ...]]:
    if not count:
        yield ()
        return
    for socket in _cores(cpus, topology.threads, topology.cores, floor):
        left = [cpu for cpu in cpus if not any(cpu in core for core in socket)]
        for rest in _sockets(left, topology, count - 1, socket[0][0].cpu):
            yield (socket, *rest)


def _cores(cpus: Sequence[CPU], threads: int, count: int, floor: int) -> Iterator[tuple[tuple[CPU, ...], ...]]:
    if not count:
        yield ()
        return
    for core in combinations(cpus, threads):
        if core[0].cpu > floor and len({cpu.node for cpu in core}) == 1:
            left = [cpu for cpu in cpus if cpu not in core]
            for rest in _cores(left, threads, count - 1, core[0].cpu):
                yield (core, *rest)


def _has_memory(vcpus: Mapping[int, int], pages: int, free: Mapping[int, int]) -> bool:
    if NO_NODE in vcpus:
        return False
    total = sum(vcpus.values())
    least = [max(1, pages * count // total) for count in vcpus.values()]
    most = [min(pages * count // total + 1, free.get(node, 0)) for node, count in vcpus.items()]
    return all(low <= high for low, high in zip(least, most, strict=True)) and sum(least) <= pages <= sum(most)
