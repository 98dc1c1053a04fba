"""What the kubelet has the kernel enforce of a container and its pod: CPU shares, CFS quota, memory, OOM score.

Source: pkg/kubelet/cm/helpers_linux.go, pkg/kubelet/kuberuntime/kuberuntime_container_linux.go, pkg/kubelet/qos.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from msgspec import Struct

from launcher.kubelet.requests import ContainerRequests, PodLevel, PodRequests, QoSClass, qos_class
from launcher.kubelet.version import NEWEST, KubeletVersion
from launcher.quantity import Quantity

_MIN_SHARES, _MAX_SHARES, _SHARES_PER_cpu_limit = 2, 262144, 1024
_PERIOD_US, _MIN_QUOTA_US = 100_000, 1000
_GUARANTEED_OOM, _BEST_EFFORT_OOM = -997, 1000
# A quota that does not limit, as the kernel has it.
UNLIMITED = -1
_NOTHING = Quantity()
# One resource of a container: its request or its limit.
_Of: TypeAlias = Callable[[ContainerRequests], Quantity]


class Limits(Struct, frozen=True, kw_only=True):
    """Shares of CPU time; quota in microseconds of each 100 ms and memory in bytes, 0 where there is no limit."""

    shares: int = _MIN_SHARES
    quota_us: int = 0
    memory_bytes: int = 0
    oom_score_adj: int = 0


def container_limits(
    pod: PodRequests,
    container: ContainerRequests,
    *,
    node_bytes: int,
    is_exclusive: bool = False,
    version: KubeletVersion = NEWEST,
) -> Limits:
    """Return a container's limits: its own, else the pod's; one with CPUs of its own has no quota."""
    level = pod.level or PodLevel()
    cpu = container.cpu.limit or level.cpu.limit
    request = container.cpu.request or (cpu if not container.cpu.limit else container.cpu.request)
    return Limits(
        shares=_shares(request),
        quota_us=UNLIMITED if is_exclusive else _quota_us(cpu),
        memory_bytes=(container.memory.limit or level.memory.limit).ceil,
        oom_score_adj=oom_score_adj(pod, container, node_bytes=node_bytes, version=version),
    )


def pod_limits(pod: PodRequests, version: KubeletVersion = NEWEST) -> Limits:
    """Return the limits of the pod's own control group; quota and memory limit where all containers have one."""
    qos = qos_class(pod, version)
    if qos is QoSClass.BEST_EFFORT:
        return Limits()
    is_guaranteed = qos is QoSClass.GUARANTEED
    has_cpu, has_memory = (is_guaranteed or _is_limited(pod, of, version) for of in (_cpu_limit, _memory_limit))
    return Limits(
        shares=_shares(_in_all(pod, lambda container: container.cpu.request)),
        quota_us=_quota_us(_in_all(pod, _cpu_limit)) if has_cpu else 0,
        memory_bytes=_in_all(pod, _memory_limit).ceil if has_memory else 0,
    )


def oom_score_adj(
    pod: PodRequests, container: ContainerRequests, *, node_bytes: int, version: KubeletVersion = NEWEST
) -> int:
    """Return by how much the kernel's OOM score of a container's processes is raised; -997 spares, 1000 dooms.

    In between, the less memory of the node's is requested, the more; sidecars are not more than what they serve.
    """
    match qos_class(pod, version):
        case QoSClass.GUARANTEED:
            return _GUARANTEED_OOM
        case QoSClass.BEST_EFFORT:
            return _BEST_EFFORT_OOM
    share = _unclaimed_share(pod, version)
    score = _score(container.memory.request.ceil + share, node_bytes)
    if container.restartable and container in pod.init_containers:
        least = min(other.memory.request.ceil for other in pod.containers)
        score = min(score, _score(least + share, node_bytes))
    score = max(score, 1000 + _GUARANTEED_OOM)
    return score - 1 if score == _BEST_EFFORT_OOM else score


def _score(requested_bytes: int, node_bytes: int) -> int:
    return 1000 - _divided(1000 * requested_bytes, node_bytes)


def _unclaimed_share(pod: PodRequests, version: KubeletVersion) -> int:
    """Return each container's share of what the pod requests beyond its containers."""
    if pod.level is None or not pod.level.memory.request:
        return 0
    claimed = _aggregate(pod, lambda container: container.memory.request)
    left = pod.level.memory.request.ceil - claimed.ceil
    if version is not KubeletVersion.V1_36:
        left = max(left, 0)
    return _divided(left, len(pod.in_order))


def _divided(number: int, by: int) -> int:
    """Divide as Go does, towards zero."""
    return number // by if number >= 0 else -(-number // by)


def _cpu_limit(container: ContainerRequests) -> Quantity:
    return container.cpu.limit


def _memory_limit(container: ContainerRequests) -> Quantity:
    return container.memory.limit


def _in_all(pod: PodRequests, of: _Of) -> Quantity:
    return _of_level(pod, of) or _aggregate(pod, of)


def _of_level(pod: PodRequests, of: _Of) -> Quantity:
    level = pod.level or PodLevel()
    return of(ContainerRequests(name="", cpu=level.cpu, memory=level.memory))


def _aggregate(pod: PodRequests, of: _Of) -> Quantity:
    """Return what the pod has in all: containers and sidecars together, or more where an init container needs it."""
    beside = _NOTHING
    most = _NOTHING
    for container, combined in _combined(pod, of):
        beside = beside + of(container) if container.restartable else beside
        most = max(most, combined)
    return max(most, sum((of(container) for container in pod.containers), start=beside))


def _combined(pod: PodRequests, of: _Of) -> Iterator[tuple[ContainerRequests, Quantity]]:
    """Yield the init containers, each with what it and the sidecars before it have."""
    beside = _NOTHING
    for container in pod.init_containers:
        yield container, beside + of(container)
        beside = beside + of(container) if container.restartable else beside


def _is_limited(pod: PodRequests, of: _Of, version: KubeletVersion) -> bool:
    """Tell whether the pod counts as limited: by itself, or in each container (before 1.37: with those beside it)."""
    if _of_level(pod, of):
        return True
    if version is KubeletVersion.V1_36:
        return all(combined for _, combined in _combined(pod, of)) and all(map(of, pod.containers))
    return all(map(of, pod.in_order))


def _shares(request: Quantity) -> int:
    return min(max(request.milli * _SHARES_PER_cpu_limit // 1000, _MIN_SHARES), _MAX_SHARES)


def _quota_us(limit: Quantity) -> int:
    return max(limit.milli * _PERIOD_US // 1000, _MIN_QUOTA_US) if limit else 0
