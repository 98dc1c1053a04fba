"""The machines of the kubelet's own test tables, named for their shape, and the pods that the tables ask with.

s = sockets, n = NUMA nodes (in all), u = last-level caches (in all), c = cores and t = threads of the smallest unit.
Where no caches are named the machine has one for all, as the kubelet's tables have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from launcher.cpuset import CPUSet
from launcher.host.model import CPU, Host, Node
from launcher.kubelet.requests import Amount, ContainerRequests, PodRequests
from launcher.quantity import parse_quantity


def machine(
    nodes: Iterable[str],
    *,
    cores: int | Iterable[str],
    sockets: Iterable[str] | None = None,
    caches: Iterable[str] | None = None,
) -> Host:
    """Build a host from the cpulists of its units, ids ascending from 0; `cores` = n puts CPU i on core i % n."""
    nodes = list(nodes)
    node = _unit_of(nodes)
    socket = _unit_of(sockets) if sockets else node
    core = {cpu: cpu % cores for cpu in node} if isinstance(cores, int) else _unit_of(cores)
    cache = _unit_of(caches) if caches else dict.fromkeys(node, 0)
    cpus = (
        CPU(cpu=cpu, core=core[cpu], die=socket[cpu], socket=socket[cpu], node=node[cpu], cache=cache[cpu])
        for cpu in sorted(node)
    )
    return Host(cpus=tuple(cpus), nodes=tuple(Node(node=index, memory_bytes=1 << 30) for index in range(len(nodes))))


def _unit_of(cpulists: Iterable[str]) -> dict[int, int]:
    return {cpu: unit for unit, cpulist in enumerate(cpulists) for cpu in CPUSet.parse(cpulist)}


S1C4T2 = machine(["0-7"], cores=4)
S2C4T1 = machine(["0-3", "4-7"], cores=8)
S2C3T2_INTERLEAVED = machine(["0-10:1/2", "1-11:1/2"], cores=6)
S3C3T2_ODD = machine(["6-11", "0-5", "12-17"], cores=[f"{cpu}-{cpu + 1}" for cpu in range(0, 18, 2)])
S2N4C10T2 = machine(
    ["0-9,40-49", "10-19,50-59", "20-29,60-69", "30-39,70-79"], sockets=["0-19,40-59", "20-39,60-79"], cores=40
)
N2S4C10T2 = machine(
    ["0-19,40-59", "20-39,60-79"], sockets=["0-9,40-49", "10-19,50-59", "20-29,60-69", "30-39,70-79"], cores=40
)
S2N8C16T2 = machine(
    [f"{first}-{first + 15},{first + 128}-{first + 143}" for first in range(0, 128, 16)],
    sockets=["0-63,128-191", "64-127,192-255"],
    cores=128,
)
S1U4C4T1 = machine(["0-15"], cores=16, caches=["0-3", "4-7", "8-11", "12-15"])
S2U4C4T1 = machine(["0-15"], sockets=["0-7", "8-15"], cores=16, caches=["0-3", "4-7", "8-11", "12-15"])
S1N2U4C4T1 = machine(["0-7", "8-15"], sockets=["0-15"], cores=16, caches=["0-3", "4-7", "8-11", "12-15"])
S1U2C4T2 = machine(["0-15"], cores=8, caches=["0-3,8-11", "4-7,12-15"])

# Shape: CPUs, cores, sockets, NUMA nodes, threads per core.
SHAPES: Mapping[str, tuple[Host, tuple[int, int, int, int, int]]] = {
    "s1c4t2": (S1C4T2, (8, 4, 1, 1, 2)),
    "s2c4t1": (S2C4T1, (8, 8, 2, 2, 1)),
    "s2c3t2_interleaved": (S2C3T2_INTERLEAVED, (12, 6, 2, 2, 2)),
    "s3c3t2_odd": (S3C3T2_ODD, (18, 9, 3, 3, 2)),
    "s2n4c10t2": (S2N4C10T2, (80, 40, 2, 4, 2)),
    "n2s4c10t2": (N2S4C10T2, (80, 40, 4, 2, 2)),
    "s2n8c16t2": (S2N8C16T2, (256, 128, 2, 8, 2)),
    "s1u4c4t1": (S1U4C4T1, (16, 16, 1, 1, 1)),
    "s2u4c4t1": (S2U4C4T1, (16, 16, 2, 1, 1)),
    "s1n2u4c4t1": (S1N2U4C4T1, (16, 16, 1, 2, 1)),
    "s1u2c4t2": (S1U2C4T2, (16, 8, 1, 1, 2)),
}


def container(
    cpu: str | int, *, limit: str | int | None = None, name: str = "compute", restartable: bool = False
) -> ContainerRequests:
    """Build a container whose memory request equals its limit, and its CPU request too unless a limit is given."""
    memory = parse_quantity("1Gi")
    request = parse_quantity(cpu)
    return ContainerRequests(
        name=name,
        cpu=Amount(request=request, limit=request if limit is None else parse_quantity(limit)),
        memory=Amount(request=memory, limit=memory),
        restartable=restartable,
    )


def pod(cpu: str | int, *, limit: str | int | None = None) -> PodRequests:
    """Build a pod of one container."""
    return PodRequests(containers=(container(cpu, limit=limit),))
