"""The NUMA nodes that the Topology Manager decides on, by the hints of the CPU manager and of the device manager.

Source: pkg/kubelet/cm/topologymanager (policy.go, numa_info.go), generateCPUTopologyHints of policy_static.go and
generateDeviceTopologyHints of devicemanager/topology_hints.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.kubelet.errors import TopologyAffinityError
from launcher.kubelet.options import TopologyPolicy
from launcher.kubelet.topology import Topology, Unit


class Wish(Struct, frozen=True, kw_only=True):
    """So many CPUs, out of those available or reusable, all of which must be among the nodes."""

    count: int
    available: CPUSet
    reusable: CPUSet

    @property
    def usable(self) -> CPUSet:
        """All CPUs that may be taken."""
        return self.available | self.reusable


class _Hint(Struct, frozen=True, order=True, kw_only=True):
    """A set of nodes that has enough, the better the smaller: preferred, of few nodes, near each other, low."""

    not_preferred: bool
    size: int
    distance: int
    nodes: int


_NOWHERE = _Hint(not_preferred=True, size=0, distance=0, nodes=0)


def numa_hint(
    topology: Topology,
    policy: TopologyPolicy,
    wish: Wish,
    devices: tuple[CPUSet, ...] = (),
    *,
    by_socket: bool,
    closest: bool,
) -> tuple[int, ...]:
    """Return the nodes that the CPUs are best taken from: preferred ones, then the fewest, then the lowest.

    Nodes are preferred when the machine could not serve the count from fewer, were it free (with `by_socket`, from
    fewer sockets); what the pod may reuse must lie in them. Among as many nodes `closest` takes those that are nearest
    to each other. `devices` are the nodes of all the devices of each resource that the container asks for, and then
    nodes are preferred only where they are just those, too; an empty set is a resource of which some device hangs on no
    node. Raises TopologyAffinityError where `restricted` or `single-numa-node` admit no such nodes.
    """
    is_single = policy is TopologyPolicy.SINGLE_NUMA_NODE
    closest = closest and not is_single
    hints = tuple(_hints(topology, wish, by_socket=by_socket, closest=closest)) if wish.count else ()
    best = _joint(topology, wish, hints, devices, closest=closest) if devices else min(hints, default=_NOWHERE)
    wrong = best.not_preferred or (is_single and best.size != 1)
    if wrong and policy is not TopologyPolicy.BEST_EFFORT:
        raise TopologyAffinityError(
            requested=wish.count, policy=policy, available=len(wish.usable), devices=", ".join(map(str, devices))
        )
    return tuple(CPUSet(best.nodes)) if best.size else tuple(node.id for node in topology.nodes)


def _joint(
    topology: Topology, wish: Wish, hints: tuple[_Hint, ...], devices: tuple[CPUSet, ...], *, closest: bool
) -> _Hint:
    """Return the best of what hints of CPUs and of devices have in common.

    The hints of a resource whose devices are all asked for are the sets of nodes with all of the devices' among them,
    and preferred is that of just these. So is what they have in common with the CPUs' where all are the same set. Else
    it is what lies in a set of CPUs' hints and has in it all that is the devices' there; as there are more nodes in
    better hints, the number wanted is the most that some resource cannot do without (maxOfMinAffinityCounts).
    """
    first = devices[0]
    if all(first == nodes for nodes in devices) and first:
        alike = (hint for hint in hints if hint.nodes == first.mask) if wish.count else (_of(first.mask),)
        for hint in alike:
            if not hint.not_preferred:
                return hint
    wanted = max(min((hint.size for hint in hints), default=0), *(len(nodes) for nodes in devices))
    between = _between(topology, wish, devices, has_cpu_hints=bool(hints), closest=closest)
    return min(between, key=lambda hint: _rank(hint, wanted), default=_NOWHERE)


def _between(
    topology: Topology, wish: Wish, devices: tuple[CPUSet, ...], *, has_cpu_hints: bool, closest: bool
) -> Iterator[_Hint]:
    """Yield every set of nodes that some hints have in common, none of which is preferred.

    Where the CPU manager has no hints, it has no say.
    """
    shared = sum(1 << node.id for node in topology.nodes)
    for of_resource in filter(None, devices):
        shared &= of_resource.mask
    for units in _subsets(topology):
        nodes = sum(1 << node.id for node in units)
        widest = sum(node.cpus for node in topology.nodes if (nodes | ~shared) >> node.id & 1)
        if _is_enough(wish, widest) if has_cpu_hints else not shared & ~nodes:
            distance = _distance(topology, units) if closest else 0
            yield _Hint(not_preferred=True, size=len(units), distance=distance, nodes=nodes)


def _is_enough(wish: Wish, cpus: int) -> bool:
    return not wish.reusable.mask & ~cpus and _found(wish, cpus) >= wish.count


def _rank(hint: _Hint, wanted: int) -> tuple[int, int, _Hint]:
    """Rank hints that are not preferred (HintMerger.compare): so many nodes, then fewer, the more the better."""
    if hint.size == wanted:
        return 0, 0, hint
    return (1, -hint.size, hint) if hint.size < wanted else (2, hint.size, hint)


def _of(nodes: int) -> _Hint:
    return _Hint(not_preferred=False, size=nodes.bit_count(), distance=0, nodes=nodes)


def _hints(topology: Topology, wish: Wish, *, by_socket: bool, closest: bool) -> Iterator[_Hint]:
    subsets = [(nodes, sum(node.cpus for node in nodes)) for nodes in _subsets(topology)]
    fewest = min((len(nodes) for nodes, cpus in subsets if cpus.bit_count() >= wish.count), default=len(topology.nodes))
    for nodes, cpus in subsets:
        if _is_enough(wish, cpus):
            yield _Hint(
                not_preferred=not _is_preferred(topology, nodes, fewest, by_socket=by_socket),
                size=len(nodes),
                distance=_distance(topology, nodes) if closest else 0,
                nodes=sum(1 << node.id for node in nodes),
            )


def _found(wish: Wish, cpus: int) -> int:
    """Return how many CPUs these nodes have, as the kubelet counts: what is available and reusable counts twice."""
    return wish.reusable.mask.bit_count() + (wish.available.mask & cpus).bit_count()


def _subsets(topology: Topology) -> Iterator[tuple[Unit, ...]]:
    for size in range(1, len(topology.nodes) + 1):
        yield from combinations(topology.nodes, size)


def _is_preferred(topology: Topology, nodes: tuple[Unit, ...], fewest: int, *, by_socket: bool) -> bool:
    if len(nodes) == fewest:
        return True
    nodes_per_socket = len(topology.nodes) // len(topology.sockets)
    if not by_socket or not nodes_per_socket:
        return False
    cpus = sum(node.cpus for node in nodes)
    sockets = sum(1 for socket in topology.sockets if socket.cpus & cpus)
    return sockets == -(-fewest // nodes_per_socket)


def _distance(topology: Topology, nodes: tuple[Unit, ...]) -> int:
    """Return the sum of the distances between these nodes, each to itself included."""
    rows = [topology.distances[node.id] for node in nodes]
    return sum(row[node.id] for row in rows for node in nodes)
