"""A pod that requests as a whole, on a kubelet whose resource managers deal with it so: one set of CPUs, divided.

Source: allocatePodForAdd and validatePodScopeResources of policy_static.go, behind the feature gate
PodLevelResourceManagers and only with the Topology Manager's scope `pod`.
"""

from __future__ import annotations

from launcher.cpuset import CPUSet
from launcher.kubelet.errors import EmptyPodSharedPool, PodLevelAffinityError, TopologyAffinityError
from launcher.kubelet.node import Admission, Assignment, KubeletNode
from launcher.kubelet.options import TopologyPolicy
from launcher.kubelet.requests import (
    PodRequests,
    QoSClass,
    is_guaranteed_by_itself,
    qos_class,
    whole_cpus,
)


def admit_whole(node: KubeletNode, pod: PodRequests) -> Admission:
    """Admit a pod and divide its CPUs: containers that ask for whole ones get their own, the others share the rest."""
    total = _total(node, pod)
    if total == 0:
        return Admission(assignments=(), shared_pool=node.shared_pool)
    nodes = _hint(node, pod, total)
    lack = _lacks_shared_cpus(pod, total)
    if lack:
        raise EmptyPodSharedPool(lack)
    cpus = node.allocate(total, nodes)
    assignments = _divide(node, pod, cpus)
    return Admission(assignments=assignments, shared_pool=node.shared_pool - cpus)


def _hint(node: KubeletNode, pod: PodRequests, total: int) -> tuple[int, ...] | None:
    message = "failed admission under pod-scope topology manager"
    if _lacks_shared_cpus(pod, total):
        if node.options.topology_manager is not TopologyPolicy.BEST_EFFORT:
            raise PodLevelAffinityError(message)
        return tuple(unit.id for unit in node.topology.nodes)
    try:
        return node.hint(total)
    except TopologyAffinityError as error:
        raise PodLevelAffinityError(message) from error


def _total(node: KubeletNode, pod: PodRequests) -> int:
    if pod.level is None or qos_class(pod, node.options.version) is not QoSClass.GUARANTEED:
        return 0
    return whole_cpus(pod.level.cpu.request)


def _counts(pod: PodRequests) -> dict[str, int]:
    """Return how many CPUs of its own each container gets of the pod's."""
    return {
        container.name: whole_cpus(container.cpu.request) if is_guaranteed_by_itself(container) else 0
        for container in pod.in_order
    }


def _lacks_shared_cpus(pod: PodRequests, total: int) -> str:
    """Say why nothing would be left for those that share; empty where something is."""
    counts = _counts(pod)
    beside, shares = 0, False
    for container in pod.init_containers:
        if container.restartable:
            beside += counts[container.name]
            shares = shares or counts[container.name] == 0
        elif counts[container.name] == 0 and beside >= total:
            return "pod rejected, pod has shared init containers but no cpus available for them"
    for container in pod.containers:
        beside += counts[container.name]
        shares = shares or counts[container.name] == 0
    if shares and beside >= total:
        return (
            "pod rejected, sum of exclusive container cpu requests equals pod budget, leaving no cpus for shared "
            "containers"
        )
    return ""


def _divide(node: KubeletNode, pod: PodRequests, cpus: CPUSet) -> tuple[Assignment, ...]:
    counts = _counts(pod)
    own: dict[str, CPUSet] = {}
    for container in pod.init_containers:
        if counts[container.name]:
            own[container.name] = node.take(cpus, counts[container.name])
        elif not container.restartable:
            own[container.name] = cpus
        if container.restartable:
            cpus -= own.get(container.name, CPUSet())
    for container in pod.containers:
        if counts[container.name]:
            own[container.name] = node.take(cpus, counts[container.name])
            cpus -= own[container.name]
    return tuple(Assignment(container=container.name, cpus=own.get(container.name, cpus)) for container in pod.in_order)
