"""How far a guest's devices are from its vCPUs: the distances of NUMA nodes, and a word where none is local."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from msgspec import Struct

from launcher.host.assigned import AssignedDevice
from launcher.host.model import NO_NODE, Host

# The distance of a node to itself (LOCAL_DISTANCE, include/linux/topology.h).
_LOCAL = 10


class Proximity(Struct, frozen=True, kw_only=True):
    """A device, and ACPI's distances from its node to the nearest and the farthest vCPU; None where nobody knows."""

    device: AssignedDevice
    nearest: int | None = None
    farthest: int | None = None

    @property
    def in_words(self) -> str:
        """The distances for people: "10", "10-21", "unknown"."""
        if self.nearest is None:
            return "unknown"
        return str(self.nearest) if self.nearest == self.farthest else f"{self.nearest}-{self.farthest}"


def proximities(devices: Sequence[AssignedDevice], vcpu_nodes: Collection[int], host: Host) -> tuple[Proximity, ...]:
    """Return how far each device is from the nodes that vCPUs are on, in the devices' order."""
    return tuple(_proximity(device, vcpu_nodes, host) for device in devices)


def _proximity(device: AssignedDevice, vcpu_nodes: Collection[int], host: Host) -> Proximity:
    distances = next((dict(node.distances) for node in host.nodes if node.node == device.node), {})
    known = [distances[node] for node in vcpu_nodes if node in distances]
    if device.node == NO_NODE or len(known) < len(set(vcpu_nodes)) or not known:
        return Proximity(device=device)
    return Proximity(device=device, nearest=min(known), farthest=max(known))


def remoteness(places: Sequence[Proximity]) -> Iterator[str]:
    """Yield a sentence for each device that no vCPU is local to."""
    for place in places:
        if place.nearest is not None and place.nearest > _LOCAL:
            device = place.device
            yield (
                f"{device.request.path} ({device.address}) is on node {device.node}, and no vCPU is: its interrupts "
                f"and memory are at distance {place.in_words}; give the container CPUs of node {device.node} "
                "(the kubelet's topology-manager-policy single-numa-node does)"
            )
