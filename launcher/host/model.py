"""The host as values: CPUs, NUMA nodes, huge pages and the CPUs that the container may use."""

from __future__ import annotations

from msgspec import Struct

from launcher.cpuset import CPUSet

# sysfs' own word for a CPU that belongs to no NUMA node (NUMA_NO_NODE, include/linux/numa.h).
NO_NODE = -1


class CPU(Struct, frozen=True, kw_only=True):
    """One online host CPU (a hardware thread). Core, die and cache ids are made unique over the machine."""

    cpu: int
    core: int
    die: int
    socket: int
    node: int
    cache: int


class HugePages(Struct, frozen=True, kw_only=True):
    """The huge pages of one size on one NUMA node, in pages."""

    size_bytes: int
    total: int
    free: int


class Node(Struct, frozen=True, kw_only=True):
    """One NUMA node. `distances` holds (node, distance) for every node, itself (10) included, ascending by node."""

    node: int
    memory_bytes: int
    distances: tuple[tuple[int, int], ...] = ()
    huge_pages: tuple[HugePages, ...] = ()


class Host(Struct, frozen=True, kw_only=True):
    """A machine: its online CPUs ascending by number, its NUMA nodes ascending, and the CPUs that are offline."""

    cpus: tuple[CPU, ...]
    nodes: tuple[Node, ...]
    offline: CPUSet = CPUSet()
    arch: str = "x86_64"
    page_bytes: int = 4096
    warnings: tuple[str, ...] = ()

    @property
    def online(self) -> CPUSet:
        """The online CPUs as a set."""
        return CPUSet.of(cpu.cpu for cpu in self.cpus)


class AllowedCPUs(Struct, frozen=True, kw_only=True):
    """The CPUs that this process may use, and where that was read (a file, `sched_getaffinity`, an option)."""

    cpus: CPUSet
    source: str
    warnings: tuple[str, ...] = ()
