"""The host as values: CPUs, NUMA nodes, huge pages and the CPUs that the container may use."""

from __future__ import annotations

from msgspec import Struct

from launcher.cpuset import CPUSet

# sysfs' own word for a CPU that belongs to no NUMA node (NUMA_NO_NODE, include/linux/numa.h).
NO_NODE = -1
# Where the kernel tells which CPUs are online, below the root of its files.
ONLINE = "sys/devices/system/cpu/online"
# Where the kernel tells which CPUs its boot parameters isolcpus= and nohz_full= have made quiet.
ISOLATED = "/sys/devices/system/cpu/isolated"
NOHZ_FULL = "/sys/devices/system/cpu/nohz_full"


class CPU(Struct, frozen=True, kw_only=True):
    """One online host CPU (a hardware thread). Core, die and cache ids are made unique over the machine."""

    cpu: int
    core: int
    die: int
    socket: int
    node: int
    cache: int
    # The level of that cache; 0 where none above level 1 is told.
    cache_level: int = 3
    # Its place among the host's kinds of core; 0 where all are alike.
    kind: int = 0


class CoreKind(Struct, frozen=True, kw_only=True):
    """One kind of core of a machine that mixes some: its name, its online CPUs, and the file that tells it apart."""

    name: str
    cpus: CPUSet
    source: str


class HugePages(Struct, frozen=True, kw_only=True):
    """The huge pages of one size on one NUMA node, in pages."""

    size_bytes: int
    total: int
    free: int


class PagePool(Struct, frozen=True, kw_only=True):
    """The huge pages of one size on the whole machine: free ones that are promised already (reserved), and pages beyond
    the nodes' own that may still be made when they are wanted (overcommit)."""

    size_bytes: int
    promised: int = 0
    makeable: int = 0


class PageLimit(Struct, frozen=True, kw_only=True):
    """What a control group may have of huge pages of one size, what it has already, and the file that says so."""

    size_bytes: int
    limit_bytes: int
    used_bytes: int
    source: str

    @property
    def left_bytes(self) -> int:
        """What is left; nothing where the limit was lowered below what is used."""
        return max(0, self.limit_bytes - self.used_bytes)


class Node(Struct, frozen=True, kw_only=True):
    """One NUMA node. `distances` holds (node, distance) for every node, itself (10) included, ascending by node.

    `available_bytes` is what may be had of its memory now without taking it from any program, None where nobody knows.
    """

    node: int
    memory_bytes: int
    distances: tuple[tuple[int, int], ...] = ()
    huge_pages: tuple[HugePages, ...] = ()
    available_bytes: int | None = None

    def bytes_to_be_had(self, page_bytes: int | None) -> int | None:
        """Return the memory in free huge pages of this size, or of ordinary ones (None); None where nobody knows."""
        if page_bytes is not None:
            return sum(pages.free * page_bytes for pages in self.huge_pages if pages.size_bytes == page_bytes)
        return self.memory_bytes or None if self.available_bytes is None else self.available_bytes


class Host(Struct, frozen=True, kw_only=True):
    """A machine: its online CPUs ascending by number, its NUMA nodes ascending, and the CPUs that are offline."""

    cpus: tuple[CPU, ...]
    nodes: tuple[Node, ...]
    offline: CPUSet = CPUSet()
    arch: str = "x86_64"
    page_bytes: int = 4096
    # Between which the scheduler moves no thread (isolcpus=); which have no tick while one thread runs (nohz_full=).
    isolated: CPUSet = CPUSet()
    nohz_full: CPUSet = CPUSet()
    # A guest sees its threads only with the feature topoext (AMD).
    needs_topoext: bool = False
    # The most capable first; none where all cores are alike.
    kinds: tuple[CoreKind, ...] = ()
    # Only sizes of which there is more to say than the nodes say.
    page_pools: tuple[PagePool, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def online(self) -> CPUSet:
        """The online CPUs as a set."""
        return CPUSet.of(cpu.cpu for cpu in self.cpus)


class CPUQuota(Struct, frozen=True, kw_only=True):
    """The CPU time that may be used in a period, in CPUs (1.5 is one and a half), and the file that says so."""

    cpus: float
    source: str


class Bounds(Struct, frozen=True, kw_only=True):
    """What else the control groups say of a process: the nodes whose memory it may use (None where nobody says),
    those of its CPUs between which the scheduler moves no thread, its time, and its huge pages by size; each with the
    file that says so."""

    memory_nodes: CPUSet | None = None
    memory_source: str = ""
    isolated: CPUSet = CPUSet()
    isolated_source: str = ""
    quota: CPUQuota | None = None
    page_limits: tuple[PageLimit, ...] = ()


class ToldCPUs(Struct, frozen=True, kw_only=True):
    """CPUs as somebody names them, and where: a file or a variable."""

    cpus: CPUSet
    source: str


class Owners(Struct, frozen=True, kw_only=True):
    """What the environment says of the container's CPUs: its own, those that others use, too, those of its own that
    take interrupts, and those of each claim."""

    isolated: ToldCPUs | None = None
    shared: ToldCPUs | None = None
    housekeeping: ToldCPUs | None = None
    claims: tuple[ToldCPUs, ...] = ()


class AllowedCPUs(Struct, frozen=True, kw_only=True):
    """The CPUs that this process may use, and where that was read (a file, `sched_getaffinity`, an option)."""

    cpus: CPUSet
    source: str
    warnings: tuple[str, ...] = ()
    bounds: Bounds = Bounds()
    owners: Owners = Owners()
