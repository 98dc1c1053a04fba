"""A node between two allocations of its CPU manager, and how the next one goes."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.errors import DoesNotFit, UsageError
from launcher.host.model import Host
from launcher.kubelet.distributed import Sharing, take_distributed
from launcher.kubelet.errors import NotEnoughCPUs, SMTAlignmentError
from launcher.kubelet.hints import Wish, numa_hint
from launcher.kubelet.options import Feature, KubeletOptions, Policy, TopologyPolicy
from launcher.kubelet.packed import take_packed
from launcher.kubelet.topology import Topology, topology_of


class Assignment(Struct, frozen=True, kw_only=True):
    """The CPUs that one container has to itself."""

    container: str
    cpus: CPUSet


class Admission(Struct, frozen=True, kw_only=True):
    """A pod admitted: the exclusive CPUs of its containers, in their order, and the shared pool of all others."""

    assignments: tuple[Assignment, ...]
    shared_pool: CPUSet


class KubeletNode(Struct, frozen=True, kw_only=True):
    """What is reserved, what is in the shared pool, and what the pod that is admitted may use again."""

    topology: Topology
    options: KubeletOptions
    reserved: CPUSet
    shared_pool: CPUSet
    reusable: CPUSet = CPUSet()

    @property
    def available(self) -> CPUSet:
        """The CPUs that may be given away, those of this pod apart."""
        return self.shared_pool - self.reserved

    def without(self, cpus: CPUSet, *, reusable: bool) -> KubeletNode:
        """Return the node after it gave these CPUs away; `reusable` says that the pod may use them again."""
        again = self.reusable | cpus if reusable else self.reusable - cpus
        return replace(self, shared_pool=self.shared_pool - cpus, reusable=again)

    def hint(self, count: int, *, devices: bool = True) -> tuple[int, ...] | None:
        """Return the NUMA nodes to take so many CPUs from, None where nobody says; raises TopologyAffinityError.

        `devices` says that they are for the container that asks for the devices, too.
        """
        options = self.options
        if options.topology_manager is TopologyPolicy.NONE:
            return options.numa_hint
        wanted = options.device_nodes if devices else ()
        if count == 0 and not wanted:
            return None
        return numa_hint(
            self.topology,
            options.topology_manager,
            Wish(count=count, available=self.available, reusable=self.reusable),
            wanted,
            by_socket=Feature.ALIGN_BY_SOCKET in options.features,
            closest=options.prefers_closest,
        )

    def allocate(self, count: int, nodes: tuple[int, ...] | None) -> CPUSet:
        """Return the CPUs of a container, from these NUMA nodes first; raises Refused."""
        self.check_whole_cores(count)
        allocatable = self.available | self.reusable
        aligned = CPUSet() if nodes is None else self._aligned(nodes) & allocatable
        try:
            first = self.take(aligned, min(count, len(aligned)))
            return first | self.take(allocatable - first, count - len(first))
        except NotEnoughCPUs as error:
            available = len(allocatable)
            raise NotEnoughCPUs(requested=count, available=available, status=error.status) from error

    def take(self, available: CPUSet, count: int) -> CPUSet:
        """Take so many of the available CPUs, as the options of the static policy have it; raises Refused."""
        return _take(self.topology, self.options, available, count)

    def check_whole_cores(self, count: int) -> None:
        """Refuse what full-pcpus-only refuses; the siblings of a reserved CPU do not count as available."""
        if Feature.FULL_PCPUS_ONLY not in self.options.features:
            return
        per_core = self.topology.cpus_per_core
        if count % per_core:
            raise SMTAlignmentError(requested=count, cpus_per_core=per_core)
        reserved_cores = sum(core.cpus for core in self.topology.cores if core.cpus & self.reserved.mask)
        available = self.shared_pool - CPUSet(reserved_cores)
        if count > len(available):
            raise SMTAlignmentError(requested=count, cpus_per_core=per_core, available=len(available))

    def _aligned(self, nodes: tuple[int, ...]) -> CPUSet:
        """Return the CPUs of these nodes; with align-by-socket, of their sockets."""
        cpus = self.topology.mask_of_nodes(nodes)
        if Feature.ALIGN_BY_SOCKET in self.options.features:
            cpus = sum(socket.cpus for socket in self.topology.sockets if socket.cpus & cpus)
        return CPUSet(cpus)


def node_of(host: Host, options: KubeletOptions) -> KubeletNode:
    """Return the node as its kubelet starts on it; raises UsageError where it would not."""
    topology = topology_of(host)
    cpus = CPUSet(topology.cpus)
    _check_cpus(topology, options)
    _check_nodes(topology, options)
    reserved = _reserve(topology, options) if options.reserved_count else options.reserved
    # In a state file it may well be so: kubelets give reserved CPUs away where others are offline.
    if options.policy is Policy.STATIC and reserved & options.in_use and options.state_file is None:
        raise UsageError(
            f"--kubelet: in-use: found {reserved & options.in_use}, which is reserved ({reserved}): "
            "reserved CPUs are never given to a container"
        )
    pool = cpus - options.in_use
    if options.policy is Policy.NONE:
        pool = cpus
    elif Feature.STRICT_RESERVATION in options.features:
        pool -= reserved
    return KubeletNode(topology=topology, options=options, reserved=reserved, shared_pool=pool)


def _check_cpus(topology: Topology, options: KubeletOptions) -> None:
    cpus = CPUSet(topology.cpus)
    in_use = "in-use" if options.state_file is None else options.state_file
    for name, named in (("reserved", options.reserved), (in_use, options.in_use)):
        if not named <= cpus:
            raise UsageError(f"--kubelet: {name}: found {named - cpus}, wanted CPUs of the host ({cpus})")
    if options.reserved_count > len(cpus):
        raise UsageError(f"--kubelet: reserved-count: found {options.reserved_count}, wanted at most {len(cpus)}")


def _check_nodes(topology: Topology, options: KubeletOptions) -> None:
    nodes = CPUSet.of(node.id for node in topology.nodes)
    for hinted in options.numa_hint or ():
        if hinted not in nodes:
            raise UsageError(f"--kubelet: numa-hint: found {hinted}, wanted NUMA nodes of the host ({nodes})")
    for nodes_of_devices in options.device_nodes:
        if not nodes_of_devices <= nodes:
            raise UsageError(
                f"--kubelet: device-nodes: found {nodes_of_devices - nodes}, wanted NUMA nodes of the host ({nodes})"
            )
    if Feature.ALIGN_BY_SOCKET in options.features and len(topology.sockets) > len(nodes):
        raise UsageError(
            f"--kubelet: {Feature.ALIGN_BY_SOCKET} needs a host with at most as many sockets as NUMA nodes: found "
            f"{len(topology.sockets)} sockets and {len(nodes)} nodes"
        )
    if options.topology_manager is not TopologyPolicy.NONE:
        _check_topology_manager(topology, options)


def _check_topology_manager(topology: Topology, options: KubeletOptions) -> None:
    """Raise UsageError where the Topology Manager does not start: it counts NUMA nodes without CPUs, too."""
    found = max(len(topology.nodes), len(topology.distances))
    if found > options.max_numa_nodes:
        raise UsageError(
            f"--kubelet: topology-manager={options.topology_manager}: found {found} NUMA nodes, wanted at most "
            f"{options.max_numa_nodes}; the option max-allowable-numa-nodes={found} allows more"
        )
    if options.prefers_closest and not all(len(row) > node.id for node in topology.nodes for row in topology.distances):
        raise UsageError("--kubelet: prefer-closest-numa-nodes: the distances of the host's NUMA nodes are not known")


def _reserve(topology: Topology, options: KubeletOptions) -> CPUSet:
    """Return the CPUs that the kubelet reserves when it is told a number; raises UsageError where it fails at that."""
    try:
        reserved = _take(topology, options, CPUSet(topology.cpus), options.reserved_count)
    except DoesNotFit:
        reserved = CPUSet()
    if len(reserved) != options.reserved_count:
        raise UsageError(
            f"--kubelet: reserved-count: the kubelet would not start: asked to reserve {options.reserved_count} CPUs "
            f"it takes {reserved or 'none'}; give it a list (reserved=0-1)"
        )
    return reserved


def _take(topology: Topology, options: KubeletOptions, available: CPUSet, count: int) -> CPUSet:
    features = options.features
    if Feature.DISTRIBUTE_ACROSS_NUMA in features:
        return take_distributed(topology, available, count, _sharing(topology, options))
    spread, by_cache = Feature.DISTRIBUTE_ACROSS_CORES in features, Feature.PREFER_CACHE in features
    return take_packed(topology, available, count, spread=spread, by_cache=by_cache)


def _sharing(topology: Topology, options: KubeletOptions) -> Sharing:
    knows_sockets = options.version.shares_by_socket
    return Sharing(
        group=topology.cpus_per_core if Feature.FULL_PCPUS_ONLY in options.features else 1,
        by_socket=knows_sockets and Feature.ALIGN_BY_SOCKET in options.features,
        bounded=knows_sockets,
    )
