"""The NUMA nodes that the Topology Manager decides on, where the CPU manager is the only one to give it hints."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from launcher.cpuset import CPUSet
from launcher.errors import UsageError
from launcher.kubelet.errors import TopologyAffinityError
from launcher.kubelet.options import TopologyPolicy
from launcher.kubelet.topology import Topology, Unit

# The Topology Manager does not start on larger machines (its max-allowable-numa-nodes option apart).
MAX_NODES = 8


def numa_hint(
    topology: Topology, policy: TopologyPolicy, count: int, *, available: CPUSet, reusable: CPUSet, by_socket: bool
) -> tuple[int, ...]:
    """Return the nodes that `count` CPUs are best taken from: preferred ones, then the fewest, then the lowest.

    Nodes are preferred when the machine could not serve the count from fewer, were it free (with `by_socket`, from
    fewer sockets); what the pod may reuse must lie in them. Raises TopologyAffinityError where `restricted` or
    `single-numa-node` admit no such nodes, UsageError on more than MAX_NODES nodes.
    """
    if len(topology.nodes) > MAX_NODES:
        raise UsageError(
            f"--kubelet: topology-manager={policy}: found {len(topology.nodes)} NUMA nodes, wanted at most {MAX_NODES}"
        )
    enough = [nodes for nodes in _subsets(topology) if _mask(nodes).bit_count() >= count]
    fewest = min((len(nodes) for nodes in enough), default=len(topology.nodes))
    ranked = [
        (not _preferred(topology, nodes, fewest, by_socket=by_socket), len(nodes), sum(1 << node.id for node in nodes))
        for nodes in _subsets(topology)
        if reusable.mask & ~_mask(nodes) == 0 and ((available | reusable).mask & _mask(nodes)).bit_count() >= count
    ]
    not_preferred, size, nodes_mask = min(ranked, default=(True, 0, 0))
    single = policy is TopologyPolicy.SINGLE_NUMA_NODE and size != 1
    if single or (not_preferred and policy is not TopologyPolicy.BEST_EFFORT):
        raise TopologyAffinityError(requested=count, policy=policy, available=len(available | reusable))
    return tuple(CPUSet(nodes_mask))


def _subsets(topology: Topology) -> Iterator[tuple[Unit, ...]]:
    for size in range(1, len(topology.nodes) + 1):
        yield from combinations(topology.nodes, size)


def _mask(nodes: tuple[Unit, ...]) -> int:
    mask = 0
    for node in nodes:
        mask |= node.cpus
    return mask


def _preferred(topology: Topology, nodes: tuple[Unit, ...], fewest: int, *, by_socket: bool) -> bool:
    if len(nodes) == fewest:
        return True
    nodes_per_socket = len(topology.nodes) // len(topology.sockets)
    if not by_socket or not nodes_per_socket:
        return False
    sockets = sum(1 for socket in topology.sockets if socket.cpus & _mask(nodes))
    return sockets == -(-fewest // nodes_per_socket)
