"""The CPU manager's answer to a pod: which CPUs each container gets, and what is left in the shared pool."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.errors import UsageError
from launcher.host.model import AllowedCPUs, Host
from launcher.kubelet.distributed import take_distributed
from launcher.kubelet.errors import NotEnoughCPUs, SMTAlignmentError
from launcher.kubelet.hints import numa_hint
from launcher.kubelet.options import Feature, KubeletOptions, Policy, TopologyPolicy
from launcher.kubelet.packed import take_packed
from launcher.kubelet.requests import ContainerRequests, PodRequests, QoSClass, exclusive_cpus, qos_class
from launcher.kubelet.topology import Topology, topology_of


class Assignment(Struct, frozen=True, kw_only=True):
    """The CPUs that one container has to itself."""

    container: str
    cpus: CPUSet


class Admission(Struct, frozen=True, kw_only=True):
    """A pod admitted: the exclusive CPUs of its containers, in their order, and the shared pool of all others."""

    assignments: tuple[Assignment, ...]
    shared_pool: CPUSet


class _Node(Struct, frozen=True, kw_only=True):
    """A node between two allocations: what is reserved, what nobody holds, and what this pod may use again."""

    topology: Topology
    options: KubeletOptions
    reserved: CPUSet
    pool: CPUSet
    reusable: CPUSet = CPUSet()

    @property
    def available(self) -> CPUSet:
        return (self.pool - self.reserved) | self.reusable


def container_cpuset(
    pod: PodRequests, host: Host, options: KubeletOptions, *, container: str | None = None
) -> AllowedCPUs:
    """Return the cpuset that the kubelet would give to a container of this pod, by default to the first one.

    That is CPUs of its own, or the shared pool with a warning that says why. Raises NotEnoughCPUs, SMTAlignmentError
    or TopologyAffinityError where the kubelet refuses the pod, UsageError where the options do not suit the host.
    """
    chosen = _container(pod, container)
    admission = admit(pod, host, options)
    source = f"simulated kubelet ({options})"
    for assignment in admission.assignments:
        if assignment.container == chosen.name:
            return AllowedCPUs(cpus=assignment.cpus, source=source, warnings=_doubts(assignment.cpus, host, options))
    return AllowedCPUs(cpus=admission.shared_pool, source=source, warnings=(_why_shared(pod, chosen, options),))


def admit(pod: PodRequests, host: Host, options: KubeletOptions) -> Admission:
    """Admit a pod as the CPU manager does, container by container, init containers first; raises as container_cpuset.

    CPUs of an init container are used again by those after it, unless it is restartable, for then it runs beside them.
    Source: pkg/kubelet/cm/cpumanager, policy_static.go.
    """
    node = _node(host, options)
    qos = qos_class(pod)
    assignments: list[Assignment] = []
    for container, leaves in _in_order(pod):
        count = exclusive_cpus(container, qos) if options.policy is Policy.STATIC else 0
        if count == 0:
            continue
        cpus = _allocate(node, count)
        assignments.append(Assignment(container=container.name, cpus=cpus))
        reusable = node.reusable | cpus if leaves else node.reusable - cpus
        node = replace(node, pool=node.pool - cpus, reusable=reusable)
    return Admission(assignments=tuple(assignments), shared_pool=_shared_pool(node))


def _in_order(pod: PodRequests) -> Iterator[tuple[ContainerRequests, bool]]:
    """Yield the containers as they are admitted, and whether each ends before the next one starts."""
    for container in pod.init_containers:
        yield container, not container.restartable
    for container in pod.containers:
        yield container, False


def _node(host: Host, options: KubeletOptions) -> _Node:
    topology = topology_of(host)
    cpus = CPUSet(topology.cpus)
    _check(topology, options)
    reserved = options.reserved
    if options.reserved_count:
        reserved = _reserve(topology, options)
    if options.policy is Policy.STATIC and reserved & options.in_use:
        raise UsageError(
            f"--kubelet: in-use: found {reserved & options.in_use}, which is reserved ({reserved}): "
            "reserved CPUs are never given to a container"
        )
    return _Node(topology=topology, options=options, reserved=reserved, pool=cpus - options.in_use)


def _check(topology: Topology, options: KubeletOptions) -> None:
    cpus = CPUSet(topology.cpus)
    for name, named in (("reserved", options.reserved), ("in-use", options.in_use)):
        if not named <= cpus:
            raise UsageError(f"--kubelet: {name}: found {named - cpus}, wanted CPUs of the host ({cpus})")
    nodes = CPUSet.of(node.id for node in topology.nodes)
    for hinted in options.numa_hint or ():
        if hinted not in nodes:
            raise UsageError(f"--kubelet: numa-hint: found {hinted}, wanted NUMA nodes of the host ({nodes})")
    if Feature.ALIGN_BY_SOCKET in options.features and len(topology.sockets) > len(topology.nodes):
        raise UsageError(
            f"--kubelet: {Feature.ALIGN_BY_SOCKET} needs a host with at most as many sockets as NUMA nodes: found "
            f"{len(topology.sockets)} sockets and {len(topology.nodes)} nodes"
        )


def _reserve(topology: Topology, options: KubeletOptions) -> CPUSet:
    cpus = CPUSet(topology.cpus)
    if options.reserved_count > len(cpus):
        raise UsageError(f"--kubelet: reserved-count: found {options.reserved_count}, wanted at most {len(cpus)}")
    return _take(topology, options, cpus, options.reserved_count)


def _allocate(node: _Node, count: int) -> CPUSet:
    aligned = _aligned(node, count) & node.available
    _check_whole_cores(node, count)
    if count > len(node.available):
        raise NotEnoughCPUs(requested=count, available=len(node.available))
    first = _take(node.topology, node.options, aligned, min(count, len(aligned)))
    return first | _take(node.topology, node.options, node.available - first, count - len(first))


def _check_whole_cores(node: _Node, count: int) -> None:
    """Refuse what full-pcpus-only refuses; the siblings of a reserved CPU do not count as available."""
    if Feature.FULL_PCPUS_ONLY not in node.options.features:
        return
    per_core = node.topology.cpus_per_core
    if count % per_core:
        raise SMTAlignmentError(requested=count, cpus_per_core=per_core)
    reserved_cores = sum(core.cpus for core in node.topology.cores if core.cpus & node.reserved.mask)
    available = node.pool - CPUSet(reserved_cores)
    if count > len(available):
        raise SMTAlignmentError(requested=count, cpus_per_core=per_core, available=len(available))


def _aligned(node: _Node, count: int) -> CPUSet:
    """Return the CPUs of the nodes that the Topology Manager decided on; with align-by-socket, of their sockets."""
    nodes = _hinted_nodes(node, count)
    cpus = sum(unit.cpus for unit in node.topology.nodes if unit.id in nodes)
    if Feature.ALIGN_BY_SOCKET in node.options.features:
        cpus = sum(socket.cpus for socket in node.topology.sockets if socket.cpus & cpus)
    return CPUSet(cpus)


def _hinted_nodes(node: _Node, count: int) -> tuple[int, ...]:
    options = node.options
    if options.topology_manager is TopologyPolicy.NONE:
        return options.numa_hint or ()
    by_socket = Feature.ALIGN_BY_SOCKET in options.features
    available = node.pool - node.reserved
    return numa_hint(
        node.topology, options.topology_manager, count, available=available, reusable=node.reusable, by_socket=by_socket
    )


def _take(topology: Topology, options: KubeletOptions, available: CPUSet, count: int) -> CPUSet:
    features = options.features
    if Feature.DISTRIBUTE_ACROSS_NUMA in features:
        group = topology.cpus_per_core if Feature.FULL_PCPUS_ONLY in features else 1
        return take_distributed(topology, available, count, group=group)
    spread, by_cache = Feature.DISTRIBUTE_ACROSS_CORES in features, Feature.PREFER_CACHE in features
    return take_packed(topology, available, count, spread=spread, by_cache=by_cache)


def _shared_pool(node: _Node) -> CPUSet:
    if node.options.policy is Policy.NONE:
        return CPUSet(node.topology.cpus)
    strict = Feature.STRICT_RESERVATION in node.options.features
    return node.pool - node.reserved if strict else node.pool


def _container(pod: PodRequests, name: str | None) -> ContainerRequests:
    for container in pod.containers + pod.init_containers:
        if name in (None, container.name):
            return container
    raise UsageError(f"the pod has no container {name!r}")


def _why_shared(pod: PodRequests, container: ContainerRequests, options: KubeletOptions) -> str:
    qos = qos_class(pod)
    if options.policy is Policy.NONE:
        reason = "the CPU manager's policy is none"
    elif qos is not QoSClass.GUARANTEED:
        reason = f"the pod's QoS class is {qos}, not {QoSClass.GUARANTEED}"
    else:
        reason = f"its CPU request {container.cpu.request} is not a whole number"
    return f"container {container.name} gets no CPUs of its own but the shared pool, for {reason}"


def _doubts(cpus: CPUSet, host: Host, options: KubeletOptions) -> tuple[str, ...]:
    """Return what is to be known of this answer: where kubelets may give another one, and what it does not promise."""
    return (*_doubts_of_a_share(cpus, host, options), *_doubts_of_whole_cores(host, options))


def _doubts_of_a_share(cpus: CPUSet, host: Host, options: KubeletOptions) -> Iterator[str]:
    """Warn where kubelets with kubernetes/kubernetes#141237 may answer otherwise."""
    nodes = {cpu.node for cpu in host.cpus}
    used = {cpu.node for cpu in host.cpus if cpu.cpu in cpus}
    if Feature.DISTRIBUTE_ACROSS_NUMA in options.features and 4 <= len(used) < len(nodes):
        doubt = f"{Feature.DISTRIBUTE_ACROSS_NUMA} over {len(used)} of {len(nodes)} NUMA nodes"
        yield f"{doubt}: kubelets with the bug kubernetes/kubernetes#141237 may take another last node"


def _doubts_of_whole_cores(host: Host, options: KubeletOptions) -> Iterator[str]:
    """Warn where full-pcpus-only is not what its name says: cores of unequal size, such as with a thread offline.

    The kubelet divides the CPUs that are online (cAdvisor skips the others) by the cores, and takes that for each
    core's size. Source: pkg/kubelet/cm/cpumanager, topology.go (CPUsPerCore) and policy_static.go (Allocate).
    """
    if Feature.FULL_PCPUS_ONLY not in options.features:
        return
    topology = topology_of(host)
    largest = max((core.cpus.bit_count() for core in topology.cores), default=1)
    if topology.cpus_per_core != largest:
        yield (
            f"{Feature.FULL_PCPUS_ONLY} promises no whole cores on this host: not all cores have {largest} CPUs "
            f"online, and the kubelet takes each to have {topology.cpus_per_core}, the average "
            f"({len(CPUSet(topology.cpus))} CPUs on {len(topology.cores)} cores)"
        )
