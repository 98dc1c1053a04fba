"""The CPU manager's answer to a pod: which CPUs each container gets, and what is left in the shared pool."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import UsageError
from launcher.host.model import AllowedCPUs, Host
from launcher.kubelet.doubts import doubts
from launcher.kubelet.errors import PodLevelAffinityError, TopologyAffinityError
from launcher.kubelet.node import Admission, Assignment, KubeletNode, node_of
from launcher.kubelet.options import KubeletOptions, Policy, TopologyPolicy, TopologyScope
from launcher.kubelet.pod_level import admit_whole
from launcher.kubelet.requests import (
    ContainerRequests,
    PodRequests,
    QoSClass,
    exclusive_cpus,
    is_guaranteed_by_itself,
    qos_class,
)


def container_cpuset(
    pod: PodRequests, host: Host, options: KubeletOptions, *, container: str | None = None
) -> AllowedCPUs:
    """Return the cpuset that the kubelet would give to a container of this pod, by default to the first one.

    That is CPUs of its own, or the shared pool with a warning that says why. Raises Refused where the kubelet refuses
    the pod, UsageError where the options do not suit the host.
    """
    chosen = _container(pod, container)
    node = node_of(host, options)
    admission = _admit(pod, node)
    source = f"simulated kubelet ({options})"
    for assignment in admission.assignments:
        if assignment.container == chosen.name:
            return AllowedCPUs(
                cpus=assignment.cpus, source=source, warnings=doubts(assignment.cpus, host, node.options, node.reserved)
            )
    return AllowedCPUs(cpus=admission.shared_pool, source=source, warnings=(_why_shared(pod, chosen, options),))


def admit(pod: PodRequests, host: Host, options: KubeletOptions) -> Admission:
    """Admit a pod as the CPU manager does, container by container, init containers first; raises as container_cpuset.

    The options' devices are those of its first container.

    CPUs of an init container are used again by those after it, unless it is restartable, for then it runs beside them.
    Source: pkg/kubelet/cm/cpumanager, policy_static.go, and pkg/kubelet/cm/topologymanager, scope_container.go and
    scope_pod.go.
    """
    return _admit(pod, node_of(host, options))


def _admit(pod: PodRequests, node: KubeletNode) -> Admission:
    options = node.options
    if options.policy is Policy.NONE:
        return Admission(assignments=(), shared_pool=node.shared_pool)
    is_by_pod = options.topology_manager is not TopologyPolicy.NONE and options.topology_scope is TopologyScope.POD
    if is_by_pod and options.pod_level and pod.level is not None:
        return admit_whole(node, pod)
    return _admit_containers(node, pod, is_by_pod=is_by_pod)


def _admit_containers(node: KubeletNode, pod: PodRequests, *, is_by_pod: bool) -> Admission:
    counts = {container.name: _count(container, pod, node.options) for container in pod.in_order}
    hint = node.hint(_pod_count(pod, counts)) if is_by_pod else None
    assignments: list[Assignment] = []
    holder = pod.containers[0].name if pod.containers else ""
    for container, leaves in _in_order(pod):
        count = counts[container.name]
        has_devices = container.name == holder
        nodes = hint if is_by_pod else _hint_of_container(node, pod, count, has_devices=has_devices)
        if count == 0:
            continue
        cpus = node.allocate(count, nodes)
        assignments.append(Assignment(container=container.name, cpus=cpus))
        node = node.without(cpus, reusable=leaves)
    return Admission(assignments=tuple(assignments), shared_pool=node.shared_pool)


def _hint_of_container(node: KubeletNode, pod: PodRequests, count: int, *, has_devices: bool) -> tuple[int, ...] | None:
    try:
        return node.hint(count, devices=has_devices)
    except TopologyAffinityError as error:
        if pod.level is None or not node.options.pod_level:
            raise
        raise PodLevelAffinityError("failed admission with a container-level topology manager") from error


def _count(container: ContainerRequests, pod: PodRequests, options: KubeletOptions) -> int:
    """Return how many CPUs of its own a container gets, which in a pod that requests as a whole hangs on the gate."""
    if pod.level is not None and not (options.pod_level and is_guaranteed_by_itself(container)):
        return 0
    return exclusive_cpus(container, qos_class(pod, options.version))


def _pod_count(pod: PodRequests, counts: dict[str, int]) -> int:
    """Return how many CPUs of their own the pod's containers need at the same time (podGuaranteedCPUs)."""
    beside = most = 0
    for container in pod.init_containers:
        if container.restartable:
            beside += counts[container.name]
        else:
            most = max(most, beside + counts[container.name])
    return max(most, beside + sum(counts[container.name] for container in pod.containers))


def _in_order(pod: PodRequests) -> Iterator[tuple[ContainerRequests, bool]]:
    """Yield the containers as they are admitted, and whether each ends before the next one starts."""
    for container in pod.init_containers:
        yield container, not container.restartable
    for container in pod.containers:
        yield container, False


def _container(pod: PodRequests, name: str | None) -> ContainerRequests:
    for container in pod.containers + pod.init_containers:
        if name in (None, container.name):
            return container
    raise UsageError(f"the pod has no container {name!r}")


def _why_shared(pod: PodRequests, container: ContainerRequests, options: KubeletOptions) -> str:
    qos = qos_class(pod, options.version)
    if options.policy is Policy.NONE:
        reason = "the CPU manager's policy is none"
    elif qos is not QoSClass.GUARANTEED:
        reason = f"the pod's QoS class is {qos}, not {QoSClass.GUARANTEED}"
    elif pod.level is not None and not options.pod_level:
        reason = "the pod requests as a whole, and the feature gate PodLevelResourceManagers is off"
    elif pod.level is not None and not is_guaranteed_by_itself(container):
        reason = "its own requests do not equal its limits"
    else:
        reason = f"its CPU request {container.cpu.request} is not a whole number"
    return f"container {container.name} gets no CPUs of its own but the shared pool, for {reason}"
