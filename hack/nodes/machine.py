"""The QEMU command line of a node: a shape, its discs, and where its output goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hack.nodes.shapes import Shape

# What QEMU is told of the output's descriptor: a set of its own numbering (qemu(1), -add-fd).
_OUTPUT_SET = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Disc:
    """One virtio disc; the node finds it by its name. What a run writes to one is lost unless it is kept."""

    name: str
    file: Path
    kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What the node boots."""

    image: Path
    initramfs: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlets:
    """Where a node's output goes: the command's to a descriptor, the kernel's and the node's own status to files."""

    output_fd: int
    console: Path
    status: Path


def node_arguments(
    shape: Shape, kernel: Kernel, discs: tuple[Disc, ...], outlets: Outlets, further: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Return QEMU's arguments for a node that runs a command."""
    return (*machine_arguments(shape, kernel, discs), *_outlet_arguments(outlets), *further, *device_arguments(shape))


def console_arguments(
    shape: Shape, kernel: Kernel, discs: tuple[Disc, ...], further: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Return QEMU's arguments for a node with a person at its serial console; Ctrl-A X ends it."""
    return (*machine_arguments(shape, kernel, discs), "-serial", "mon:stdio", *further, *device_arguments(shape))


def machine_arguments(shape: Shape, kernel: Kernel, discs: tuple[Disc, ...]) -> tuple[str, ...]:
    """Return QEMU's arguments for the machine: emulated on every host, without a network, off where it would reboot."""
    return (
        *("-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot"),
        *("-machine", shape.board, "-accel", "tcg,thread=multi", "-cpu", shape.cpu_model),
        *cpu_arguments(shape),
        *memory_arguments(shape),
        *distance_arguments(shape),
        *("-kernel", str(kernel.image), "-initrd", str(kernel.initramfs), "-append", kernel_line(shape)),
        *(argument for disc in discs for argument in _disc_arguments(disc)),
    )


def device_arguments(shape: Shape) -> Iterator[str]:
    """Yield the shape's own devices; last, for what names no bus would be put on one of theirs."""
    for network in shape.networks:
        yield from ("-netdev", network)
    for device in shape.devices:
        yield from ("-device", device)


def cpu_arguments(shape: Shape) -> tuple[str, str]:
    """Return the topology of the CPUs."""
    return "-smp", f"{shape.cpus},sockets={shape.sockets},cores={shape.cores},threads={shape.threads}"


def memory_arguments(shape: Shape) -> Iterator[str]:
    """Yield the memory of each NUMA node, taken from the host only as it is used, and the CPUs next to it."""
    size = shape.memory_mib_per_node
    yield from ("-m", f"{size * shape.nodes}M")
    for node in range(shape.nodes):
        cpus = shape.cpus_of_node(node)
        yield from ("-object", f"memory-backend-ram,id=memory{node},size={size}M,prealloc=off")
        yield from ("-numa", f"node,nodeid={node},cpus={cpus[0]}-{cpus[-1]},memdev=memory{node}")


def distance_arguments(shape: Shape) -> Iterator[str]:
    """Yield the distances between NUMA nodes, where the shape gives any."""
    for one, row in enumerate(shape.distances):
        for other, distance in enumerate(row):
            yield from ("-numa", f"dist,src={one},dst={other},val={distance}")


def kernel_line(shape: Shape) -> str:
    """Return the kernel's command line: a panic ends the node, and emulated slowness is no lockup."""
    pages = ",".join(f"{node}:{shape.huge_pages_per_node}" for node in range(shape.nodes))
    return (
        "console=ttyS0 loglevel=4 panic=-1 nowatchdog rcupdate.rcu_cpu_stall_timeout=300 "
        f"mitigations=off init_on_alloc=0 hugepagesz={shape.huge_page_mib}M hugepages={pages} {shape.kernel_words}"
    ).rstrip()


def _disc_arguments(disc: Disc) -> Iterator[str]:
    snapshot = "off" if disc.kept else "on"
    file = _value(disc.file)
    yield from ("-drive", f"if=none,id={disc.name},format=raw,cache=unsafe,snapshot={snapshot},file={file}")
    yield from ("-device", f"virtio-blk-pci,drive={disc.name},serial={disc.name}")


def _value(path: Path) -> str:
    """Return a path as QEMU takes it among others: a comma within is written twice (qemu(1), -drive)."""
    return str(path).replace(",", ",,")


def _outlet_arguments(outlets: Outlets) -> tuple[str, ...]:
    # Appended to, or QEMU would try to cut what is a pipe.
    return (
        *("-serial", f"file:{outlets.console}"),
        *("-device", "virtio-serial-pci"),
        *("-add-fd", f"fd={outlets.output_fd},set={_OUTPUT_SET}"),
        *("-chardev", f"file,id=output,path=/dev/fdset/{_OUTPUT_SET},append=on"),
        *("-device", "virtserialport,chardev=output,name=output"),
        *("-chardev", f"file,id=status,path={_value(outlets.status)}"),
        *("-device", "virtserialport,chardev=status,name=status"),
    )
