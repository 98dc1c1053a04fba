"""Guests, hosts and cpusets in few words, for the tables of the planner's tests."""

from __future__ import annotations

from launcher.cpuset import CPUSet
from launcher.host.model import CPU, AllowedCPUs, Host, HugePages, Node
from launcher.vmi.guest import Disk, DiskBus, Guest, GuestCPU, GuestMemory, IOThreadDemand, IOThreadsPolicy, Topology
from tests.planner.cases import regular_host

GIB = 1 << 30
MIB = 1 << 20


def a_guest(
    sockets: int = 1,
    cores: int = 1,
    threads: int = 1,
    *,
    isolate: bool = False,
    parity: bool = False,
    dedicated: bool = True,
    passthrough: bool = False,
    policy: IOThreadsPolicy | None = None,
    pool: int = 0,
    cpu_count: int = 1,
    disks: tuple[Disk, ...] = (),
    memory: GuestMemory | None = None,
) -> Guest:
    """Build a guest of this shape, with dedicated CPUs unless told otherwise."""
    cpu = GuestCPU(
        topology=Topology(sockets=sockets, cores=cores, threads=threads),
        dedicated=dedicated,
        isolate_emulator_thread=isolate,
        emulator_even_parity=parity,
        numa_passthrough=passthrough,
    )
    return Guest(
        name="guest",
        cpu=cpu,
        memory=memory or GuestMemory(guest_bytes=GIB),
        io_threads=IOThreadDemand(policy=policy, pool_count=pool, cpu_count=cpu_count),
        disks=disks,
    )


def virtio(name: str, *, dedicated: bool = False) -> Disk:
    """Build a virtio disk."""
    return Disk(name=name, path=f"/disks/{name}", dedicated_iothread=dedicated)


def sata(name: str) -> Disk:
    """Build a SATA disk."""
    return Disk(name=name, path=f"/disks/{name}", bus=DiskBus.SATA)


def a_host(
    nodes: int = 1,
    cores: int = 4,
    threads: int = 2,
    *,
    caches: int = 1,
    interleaved: bool = False,
    free_pages: dict[int, int] | None = None,
) -> Host:
    """Build a host; numbered core by core, or dealt out over the nodes, which lie 20 apart; pages are 2 MiB."""
    cpus: tuple[CPU, ...] = regular_host(nodes, caches, cores, threads, interleaved=interleaved)
    return Host(
        cpus=tuple(sorted(cpus, key=lambda cpu: cpu.cpu)),
        nodes=tuple(
            Node(
                node=node,
                memory_bytes=16 * GIB,
                distances=tuple((other, 10 if other == node else 20) for other in range(nodes)),
                huge_pages=_pages(node, free_pages),
            )
            for node in range(nodes)
        ),
    )


def _pages(node: int, free_pages: dict[int, int] | None) -> tuple[HugePages, ...]:
    if free_pages is None:
        return ()
    return (HugePages(size_bytes=2 * MIB, total=1024, free=free_pages[node]),)


def allow(cpulist: str, source: str = "/sys/fs/cgroup/cpuset.cpus.effective") -> AllowedCPUs:
    """Allow these CPUs, as if read from the container's cgroup."""
    return AllowedCPUs(cpus=CPUSet.parse(cpulist), source=source)
