"""In words: what the kubelet makes of the launcher's container, before any kubelet saw it."""

from __future__ import annotations

from launcher.kubelet.limits import Limits, container_limits
from launcher.kubelet.requests import ContainerRequests, PodRequests, QoSClass, exclusive_cpus, qos_class
from launcher.quantity import Quantity

# The OOM score of a burstable container hangs on the node's memory, which is not known here.
_ANY_NODE_BYTES = 1 << 40


def foretold(pod: PodRequests, container: ContainerRequests) -> str:
    """Say the QoS class of the pod, and what the container gets of CPUs and is held to by the kernel."""
    qos = qos_class(pod)
    own = exclusive_cpus(container, qos)
    limits = container_limits(pod, container, node_bytes=_ANY_NODE_BYTES, is_exclusive=own > 0)
    cpus = "no CPUs of its own"
    if own:
        cpus = f"{own} CPUs of its own where the static CPU manager runs, and then no CFS quota"
    return f"kubelet: QoS class {qos}: {cpus}; {_held_to(limits, qos, is_quota_said=not own)}"


def _held_to(limits: Limits, qos: QoSClass, *, is_quota_said: bool) -> str:
    words = [f"{limits.shares} CPU shares"]
    if is_quota_said:
        words.append(f"CFS quota {limits.quota_us} us of 100 ms" if limits.quota_us > 0 else "no CFS quota")
    memory = Quantity.of_units(limits.memory_bytes, binary=True)
    words.append(f"memory limit {memory}" if memory else "no memory limit")
    if qos is not QoSClass.BURSTABLE:
        words.append(f"oom_score_adj {limits.oom_score_adj}")
    return ", ".join(words)
