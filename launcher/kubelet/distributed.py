"""The CPU manager's distribute-cpus-across-numa: equal shares from as few NUMA nodes as can give them.

The rules are those of KEP-2902, as takeByTopologyNUMADistributed (cpu_assignment.go) has them, its faults included.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.errors import DoesNotFit
from launcher.kubelet.combinations import Combination, combinations
from launcher.kubelet.errors import AllocationFailed, KubeletHangs, NotEnoughCPUs
from launcher.kubelet.packed import take_packed
from launcher.kubelet.topology import Topology, Unit

_WORST = math.inf


class Sharing(Struct, frozen=True, kw_only=True):
    """How CPUs are shared out: in groups of `group`.

    Since 1.37 `by_socket` prefers the nodes of one socket, and what is taken is `bounded` by what each node has.
    """

    group: int
    by_socket: bool = False
    bounded: bool = False


class _Shares(Struct, frozen=True, kw_only=True):
    """What is asked for, and of which nodes, in the packed order, with how many free CPUs each."""

    topology: Topology
    nodes: tuple[Unit, ...]
    free: tuple[int, ...]
    count: int
    sharing: Sharing

    def each(self, nodes: Sequence[int], *, bounded: bool) -> int:
        """Return what each of these nodes gives; bounded, no more than the poorest has in whole groups."""
        group = self.sharing.group
        share = self.count // len(nodes) // group * group
        return min(share, *(self.free[node] // group * group for node in nodes)) if bounded else share


class _Choice(Struct, frozen=True, kw_only=True):
    """A choice of nodes, those that give the remainder, and how uneven the nodes are afterwards."""

    balance: float
    nodes: Combination
    extra: Combination | None
    in_one_socket: bool = False


def take_distributed(topology: Topology, available: CPUSet, count: int, sharing: Sharing) -> CPUSet:
    """Take `count` of the available CPUs in groups, evenly from the fewest nodes that allow it.

    Among as many nodes the choice that leaves the free CPUs of all nodes most even wins, then the first in the packed
    order. Where nothing can be shared out, the allocation is packed. Raises NotEnoughCPUs, AllocationFailed where the
    kubelet loses count, and KubeletHangs where it would never answer.
    """
    if count % sharing.group or count < 1:
        return take_packed(topology, available, count)
    free = available.mask & topology.cpus
    if count > free.bit_count():
        raise NotEnoughCPUs(requested=count, available=len(available))
    nodes = tuple(topology.ordered_nodes(free))
    shares = _Shares(
        topology=topology,
        nodes=nodes,
        free=tuple((node.cpus & free).bit_count() for node in nodes),
        count=count,
        sharing=sharing,
    )
    choice = _best_of_fewest(shares)
    return take_packed(topology, available, count) if choice is None else _take(shares, free, choice)


def _best_of_fewest(shares: _Shares) -> _Choice | None:
    for size in _sizes(shares):
        best = _best(shares, size)
        if best is not None:
            return best
    return None


def _sizes(shares: _Shares) -> range:
    """Return the numbers of nodes to try: from those that could hold the groups, were they free, to all available."""
    group = shares.sharing.group
    groups = -(-shares.count // group)
    groups_in_all = -(-shares.topology.cpus.bit_count() // group)
    groups_per_node = -(-groups_in_all // len(shares.topology.nodes))
    return range(-(-groups // groups_per_node), min(groups, len(shares.free)) + 1)


def _best(shares: _Shares, size: int) -> _Choice | None:
    """Return the best choice of so many nodes, as it reads after the last one was looked at."""
    by_socket = shares.sharing.by_socket
    best: _Choice | None = None
    for nodes in combinations(tuple(range(len(shares.free))), size):
        if best is not None and best.balance == 0 and (best.in_one_socket or not by_socket):
            break
        choice = _choice(shares, nodes)
        if choice is not None and _is_better(choice, best, by_socket=by_socket):
            best = choice
    return best


def _is_better(choice: _Choice, best: _Choice | None, *, by_socket: bool) -> bool:
    if by_socket and choice.in_one_socket != (best is not None and best.in_one_socket):
        return choice.in_one_socket
    return choice.balance < (_WORST if best is None else best.balance)


def _choice(shares: _Shares, nodes: Combination) -> _Choice | None:
    """Weigh a combination of nodes; None where they cannot give equal shares."""
    chosen = nodes.items
    free, group = shares.free, shares.sharing.group
    each = shares.each(chosen, bounded=shares.sharing.by_socket)
    if sum(free[node] // group * group for node in chosen) < shares.count or any(free[node] < each for node in chosen):
        return None
    left = list(free)
    for node in chosen:
        left[node] -= each
    remainder = shares.count - each * len(chosen)
    balance, extra = (_deviation(left), None) if remainder == 0 else _best_extra(left, chosen, remainder, group)
    in_one_socket = shares.sharing.by_socket and _are_in_one_socket(shares, chosen)
    return _Choice(balance=balance, nodes=nodes, extra=extra, in_one_socket=in_one_socket)


def _are_in_one_socket(shares: _Shares, nodes: Iterable[int]) -> bool:
    cpus = sum(shares.nodes[node].cpus for node in nodes)
    return sum(1 for socket in shares.topology.sockets if socket.cpus & cpus) <= 1


def _best_extra(
    left: Sequence[int], nodes: Iterable[int], remainder: int, group: int
) -> tuple[float, Combination | None]:
    """Return the nodes that give the remainder, of all that are able to give a group, and the balance then."""
    able = tuple(node for node in nodes if left[node] >= group)
    best, chosen = _WORST, None
    for size in range(len(able), 0, -1):
        for extra in combinations(able, size):
            givers = extra.items
            if sum(left[node] for node in givers) < remainder:
                continue
            balance = _deviation(_less_remainder(left, givers, remainder, group))
            if balance < best:
                best, chosen = balance, extra
    return best, chosen


def _less_remainder(left: Sequence[int], givers: Sequence[int], remainder: int, group: int) -> list[int]:
    after = list(left)
    for node in _turns(after, givers, remainder, group):
        after[node] -= group
    return after


def _turns(free: Sequence[int] | _Accounts, givers: Sequence[int], remainder: int, group: int) -> Iterator[int]:
    """Yield the node that gives each group of the remainder, one after the other, round and round.

    `free` is read anew for each, as it is then. The kubelet goes round for ever where no node has a group left.
    """
    while remainder > 0:
        before = remainder
        for node in givers:
            if remainder == 0:
                return
            if free[node] >= group:
                remainder -= group
                yield node
        if remainder == before:
            raise KubeletHangs


def _deviation(values: Sequence[int]) -> float:
    """Return the standard deviation, mean and result rounded to thousandths as the kubelet does before comparing."""
    mean = _thousandths(sum(values) / len(values))
    return _thousandths(math.sqrt(sum((value - mean) ** 2 for value in values) / len(values)))


def _thousandths(value: float) -> float:
    return math.floor(value * 1000 + 0.5) / 1000


class _Accounts(Struct, kw_only=True):
    """The kubelet's books while it takes CPUs node by node; indexed by a node they tell its free CPUs."""

    shares: _Shares
    free: int
    need: int
    taken: int = 0

    def __getitem__(self, node: int) -> int:
        return (self.shares.nodes[node].cpus & self.free).bit_count()

    def take(self, node: int, count: int) -> None:
        """Take so many of a node, packed; what cannot be had so is not taken, and nobody is told."""
        of_node = CPUSet(self.shares.nodes[node].cpus & self.free)
        try:
            cpus = take_packed(self.shares.topology, of_node, count).mask
        except DoesNotFit:
            return
        self.taken |= cpus
        self.free &= ~cpus
        self.need -= cpus.bit_count()


def _take(shares: _Shares, free: int, choice: _Choice) -> CPUSet:
    """Take equal shares from the chosen nodes, then the remainder; whether the sum is right is asked at the end."""
    chosen = choice.nodes.items
    taking = _Accounts(shares=shares, free=free, need=shares.count)
    each = shares.each(chosen, bounded=shares.sharing.bounded)
    for node in chosen:
        taking.take(node, each)
    givers = () if choice.extra is None else choice.extra.items
    remainder = shares.count - each * len(chosen)
    for node in _turns(taking, givers, remainder, shares.sharing.group):
        taking.take(node, shares.sharing.group)
    if taking.need:
        found = "not enough" if taking.need > 0 else "too many"
        raise AllocationFailed(f"accounting error, {found} CPUs allocated, remaining: {taking.need}")
    return CPUSet(taking.taken)
