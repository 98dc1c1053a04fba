"""The shapes that a node comes in: its CPUs, NUMA nodes and memory, as one table of frozen values."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hack.nodes.errors import NodeError

# ACPI's distance of a node to itself, and what QEMU says of two others where no distances are given.
LOCAL_DISTANCE, REMOTE_DISTANCE = 10, 20
# TCG calls its own "max" an AMD processor, and then shows no threads. Told that `rep movsb` is fast (erms), a kernel
# copies and clears memory with nothing else, which TCG does byte by byte: two to five times slower (measured).
_WITH_THREADS = "Skylake-Server,erms=off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One kind of node. CPU ids run threads first, then cores, then sockets; NUMA nodes get equal runs of them."""

    name: str
    purpose: str
    sockets: int
    cores: int
    threads: int
    nodes: int
    cpu_model: str
    memory_mib_per_node: int = 4096
    # Reserved on each node at boot.
    huge_pages_per_node: int = 1280
    huge_page_mib: int = 2
    # Rows of ACPI distances; empty where QEMU's own are good enough.
    distances: tuple[tuple[int, ...], ...] = ()
    offline_cpus: frozenset[int] = frozenset()
    # Loaded once the node is up.
    modules: tuple[str, ...] = ()
    # QEMU's board, more devices of it in the words of its -device, and more for the kernel's command line.
    board: str = "pc"
    devices: tuple[str, ...] = ()
    # What is at the other end of its network cards, in the words of -netdev.
    networks: tuple[str, ...] = ()
    kernel_words: str = ""

    @property
    def cpus(self) -> int:
        """Return how many CPUs there are, those that go offline, too."""
        return self.sockets * self.cores * self.threads

    def cpus_of_node(self, node: int) -> range:
        """Return the CPUs of one NUMA node, those that go offline, too."""
        count = self.cpus // self.nodes
        return range(node * count, (node + 1) * count)

    def siblings(self, cpu: int) -> range:
        """Return the CPUs of the core that this CPU is a thread of, itself among them."""
        first = cpu - cpu % self.threads
        return range(first, first + self.threads)

    def distance(self, one: int, other: int) -> int:
        """Return ACPI's distance between two NUMA nodes."""
        if self.distances:
            return self.distances[one][other]
        return LOCAL_DISTANCE if one == other else REMOTE_DISTANCE


# The function of a device that vfio-pci may have: its DMA goes through the IOMMU.
_BEHIND_IOMMU = "disable-legacy=on,iommu_platform=on,ats=on"


def _pcie_root(number: int, *, node: int) -> tuple[str, ...]:
    """Return a PCIe root complex on a NUMA node, with a root port that has a card of two functions, in one group."""
    port = f"port{number}"
    return (
        f"pxb-pcie,bus=pcie.0,id=root{number},bus_nr={32 * number},numa_node={node}",
        f"pcie-root-port,id={port},bus=root{number},chassis={number},slot={number}",
        f"virtio-rng-pci,bus={port},addr=0.0,multifunction=on,{_BEHIND_IOMMU}",
        f"virtio-scsi-pci,bus={port},addr=0.1,{_BEHIND_IOMMU}",
    )


def _network_card(number: int, *, node: int) -> tuple[str, ...]:
    """Return a PCIe root complex on a NUMA node, with a root port that has a network card."""
    port = f"port{number}"
    return (
        f"pxb-pcie,bus=pcie.0,id=root{number},bus_nr={32 * number},numa_node={node}",
        f"pcie-root-port,id={port},bus=root{number},chassis={number},slot={number}",
        f"virtio-net-pci,bus={port},netdev=beyond,{_BEHIND_IOMMU}",
    )


_KVM_2N = Shape(
    name="kvm-2n",
    purpose="a real /dev/kvm (AMD's, emulated), two NUMA nodes, no SMT, huge pages of 1 GiB",
    sockets=2,
    cores=4,
    threads=1,
    nodes=2,
    cpu_model="EPYC,svm=on",
    # The first node's is in two parts, below and above what PCI has of the first 4 GiB (q35 leaves 2 GiB below that).
    memory_mib_per_node=5120,
    huge_pages_per_node=2,
    huge_page_mib=1024,
    modules=("kvm-amd",),
)

SHAPES = (
    Shape(
        name="smt-2n",
        purpose="two sockets with a NUMA node each, two threads a core",
        sockets=2,
        cores=4,
        threads=2,
        nodes=2,
        cpu_model=_WITH_THREADS,
    ),
    _KVM_2N,
    Shape(
        name="four-nodes-offline",
        purpose="four NUMA nodes at different distances, CPU 5 offline",
        sockets=4,
        cores=2,
        threads=2,
        nodes=4,
        cpu_model=_WITH_THREADS,
        memory_mib_per_node=3072,
        huge_pages_per_node=1040,
        distances=((10, 12, 20, 22), (12, 10, 22, 20), (20, 22, 10, 12), (22, 20, 12, 10)),
        offline_cpus=frozenset({5}),
    ),
    replace(
        _KVM_2N,
        name="vfio-2n",
        purpose="as kvm-2n, with an IOMMU and PCI devices to hand on: two root complexes on each node",
        huge_pages_per_node=512,
        huge_page_mib=2,
        modules=("kvm-amd", "vfio-pci", "vfio_iommu_type1"),
        board="q35,kernel-irqchip=split",
        devices=(
            "intel-iommu,intremap=on,caching-mode=on",
            *_pcie_root(1, node=0),
            *_pcie_root(2, node=1),
            *_pcie_root(3, node=1),
            *_network_card(4, node=0),
        ),
        # It answers who asks for an address, and leads nowhere.
        networks=("user,id=beyond,restrict=on",),
        kernel_words="intel_iommu=on iommu=pt",
    ),
)


def shape_named(name: str) -> Shape:
    """Return the shape of this name."""
    for shape in SHAPES:
        if shape.name == name:
            return shape
    raise NodeError(f"there is no shape {name}: there are {', '.join(shape.name for shape in SHAPES)}")
