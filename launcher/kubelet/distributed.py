"""The CPU manager's distribute-cpus-across-numa: equal shares from as few NUMA nodes as can give them.

The rules are those of KEP-2902. Kubelets released so far can go wrong where a share comes from four or more nodes out
of more (kubernetes/kubernetes#141237): they then mix up the last node; here the rules are followed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.errors import UsageError
from launcher.kubelet.errors import NotEnoughCPUs
from launcher.kubelet.packed import take_packed
from launcher.kubelet.topology import Topology, Unit

# All subsets of the nodes are weighed, here as in the kubelet, whose Topology Manager stops at the same number.
MAX_NODES = 8


class _Share(Struct, frozen=True, kw_only=True):
    """A choice of nodes (indices): `each` CPUs from every one of `nodes`, `remainder` in groups from `extra`."""

    balance: float
    nodes: tuple[int, ...]
    each: int
    extra: tuple[int, ...] = ()
    remainder: int = 0


def take_distributed(topology: Topology, available: CPUSet, count: int, *, group: int) -> CPUSet:
    """Take `count` of the available CPUs in groups of `group`, evenly from the fewest nodes that allow it.

    Among as many nodes the choice that leaves the free CPUs of all nodes most even wins, then the first in the packed
    order. Where nothing can be shared out, the allocation is packed. Raises NotEnoughCPUs, and UsageError where the
    host has more than MAX_NODES nodes.
    """
    if count % group or not count:
        return take_packed(topology, available, count)
    if count > len(available):
        raise NotEnoughCPUs(requested=count, available=len(available))
    if len(topology.nodes) > MAX_NODES:
        raise UsageError(
            f"distribute-cpus-across-numa: found {len(topology.nodes)} NUMA nodes, wanted at most {MAX_NODES}"
        )
    nodes = topology.ordered_nodes(available.mask)
    share = _share([(node.cpus & available.mask).bit_count() for node in nodes], topology, count, group)
    if share is None:
        return take_packed(topology, available, count)
    return _take(topology, available, nodes, share, group)


def _share(free: Sequence[int], topology: Topology, count: int, group: int) -> _Share | None:
    """Return the best choice over the fewest nodes; `free` holds the free CPUs of each node in the packed order."""
    for size in _sizes(free, topology, count, group):
        best: _Share | None = None
        for nodes in combinations(range(len(free)), size):
            share = _share_of(free, nodes, count, group)
            if share is not None and (best is None or share.balance < best.balance):
                best = share
        if best is not None:
            return best
    return None


def _sizes(free: Sequence[int], topology: Topology, count: int, group: int) -> range:
    """Return the numbers of nodes to try: from those that could hold the groups, were they free, to all available."""
    groups = -(-count // group)
    groups_in_all = -(-topology.cpus.bit_count() // group)
    groups_per_node = -(-groups_in_all // len(topology.nodes))
    return range(-(-groups // groups_per_node), min(groups, len(free)) + 1)


def _share_of(free: Sequence[int], nodes: tuple[int, ...], count: int, group: int) -> _Share | None:
    """Return the best choice over exactly these nodes, or None where they cannot give equal shares."""
    each = count // len(nodes) // group * group
    if sum(free[node] // group * group for node in nodes) < count or any(free[node] < each for node in nodes):
        return None
    left = [cpus - each if node in nodes else cpus for node, cpus in enumerate(free)]
    remainder = count - each * len(nodes)
    if remainder == 0:
        return _Share(balance=_deviation(left), nodes=nodes, each=each)
    best: _Share | None = None
    for extra in _remainder_sets(left, nodes, remainder, group):
        balance = _deviation(_less_remainder(left, extra, remainder, group))
        if best is None or balance < best.balance:
            best = _Share(balance=balance, nodes=nodes, each=each, extra=extra, remainder=remainder)
    return best


def _remainder_sets(left: Sequence[int], nodes: Iterable[int], remainder: int, group: int) -> Iterable[tuple[int, ...]]:
    """Yield the sets of nodes that can give the remainder in whole groups, the largest sets first."""
    able = [node for node in nodes if left[node] >= group]
    for size in range(len(able), 0, -1):
        for extra in combinations(able, size):
            if sum(left[node] // group * group for node in extra) >= remainder:
                yield extra


def _less_remainder(left: Sequence[int], extra: Iterable[int], remainder: int, group: int) -> list[int]:
    after = list(left)
    for node in _remainder_givers(left, extra, remainder, group):
        after[node] -= group
    return after


def _remainder_givers(left: Sequence[int], extra: Iterable[int], remainder: int, group: int) -> Iterable[int]:
    """Yield the node that gives each group of the remainder: one after the other, round and round."""
    groups = {node: left[node] // group for node in extra}
    while remainder > 0:
        for node, given in groups.items():
            if remainder > 0 and given > 0:
                groups[node] -= 1
                remainder -= group
                yield node


def _deviation(values: Sequence[int]) -> float:
    """Return the standard deviation, mean and result rounded to thousandths as the kubelet does before comparing."""
    mean = _thousandths(sum(values) / len(values))
    return _thousandths(math.sqrt(sum((value - mean) ** 2 for value in values) / len(values)))


def _thousandths(value: float) -> float:
    return math.floor(value * 1000 + 0.5) / 1000


def _take(topology: Topology, available: CPUSet, nodes: Sequence[Unit], share: _Share, group: int) -> CPUSet:
    taken = CPUSet()
    for index in share.nodes:
        taken |= take_packed(topology, available & CPUSet(nodes[index].cpus), share.each)
    left = [len((available - taken) & CPUSet(node.cpus)) for node in nodes]
    for index in _remainder_givers(left, share.extra, share.remainder, group):
        taken |= take_packed(topology, (available - taken) & CPUSet(nodes[index].cpus), group)
    return taken
