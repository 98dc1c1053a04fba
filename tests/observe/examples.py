"""Hosts and placements made by hand or at random, for the tests of everything that is shown to people."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hypothesis import strategies as st
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.host.model import CPU, NO_NODE, Host, Node
from launcher.planner.model import Cell, IOThreadPin, Pinning, Reason, SharedPin, VCPUPin

GIB = 1 << 30
SOURCE = "/sys/fs/cgroup/cpuset.cpus.effective"
_NOWHERE = CPU(cpu=0, core=0, die=0, socket=0, node=0, cache=0)


def host_of(
    *,
    nodes: int = 1,
    caches: int = 1,
    cores: int,
    threads: int | tuple[int, ...] = 2,
    contiguous: bool = False,
    offline: str = "",
) -> Host:
    """Build a regular host; `threads` may name the threads of each core of a cache in turn (hybrid machines).

    CPUs are numbered as Linux on x86 does: first threads first; `contiguous` numbers siblings next to each other.
    """
    per_core = threads if isinstance(threads, tuple) else (threads,) * cores
    slots = [
        (thread, node, node * caches + cache, (node * caches + cache) * cores + core)
        for node in range(nodes)
        for cache in range(caches)
        for core in range(cores)
        for thread in range(per_core[core])
    ]
    gone = CPUSet.parse(offline)
    return Host(
        cpus=tuple(
            CPU(cpu=number, core=core, die=node, socket=node, node=node, cache=cache)
            for number, (_, node, cache, core) in enumerate(slots if contiguous else sorted(slots))
            if number not in gone
        ),
        nodes=tuple(Node(node=node, memory_bytes=16 * GIB) for node in range(nodes)),
        offline=gone,
    )


def pinning_of(
    host: Host,
    *,
    cpuset: str,
    vcpus: Iterable[int] = (),
    emulator: str = "",
    iothreads: Iterable[str] = (),
    housekeeping: str = "",
    spare: str = "",
    source: str = SOURCE,
) -> Pinning:
    """Place vCPU 0, 1, ... on the CPUs named in turn; the emulator is on the whole cpuset unless said otherwise."""
    places = {cpu.cpu: cpu for cpu in host.cpus}
    pins = tuple(_pin(vcpu, places.get(cpu, replace(_NOWHERE, cpu=cpu))) for vcpu, cpu in enumerate(vcpus))
    return Pinning(
        cpuset=CPUSet.parse(cpuset),
        source=source,
        vcpus=pins,
        emulator=CPUSet.parse(emulator or cpuset),
        iothreads=tuple(IOThreadPin(iothread=n, cpus=CPUSet.parse(cpus)) for n, cpus in enumerate(iothreads, 1)),
        housekeeping=CPUSet.parse(housekeeping),
        spare=CPUSet.parse(spare),
        degraded=len({pin.cpu for pin in pins}) < len(pins),
    )


def _pin(vcpu: int, cpu: CPU) -> VCPUPin:
    return VCPUPin(vcpu=vcpu, cpu=cpu.cpu, core=cpu.core, socket=cpu.socket, node=cpu.node)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A host with a placement on it."""

    host: Host
    pinning: Pinning


def _desktop() -> Example:
    host = host_of(cores=4)
    pinning = pinning_of(
        host, cpuset="1-3,5-7", vcpus=(1, 5, 2, 6), emulator="3", iothreads=("3", "3"), housekeeping="3,7"
    )
    reasons = (
        Reason(thread="placement", text="no guest core split; no vCPU beside housekeeping"),
        Reason(thread="vcpu 0", text="CPU 1 to vCPU 0: the lowest whole core of the only node"),
        Reason(
            thread="emulator",
            text="CPU 3 to the emulator: CPUs 3 and 7 are the core that is left over when both guest cores have one",
        ),
        Reason(thread="iothread 1", text="IOThreads go where the isolated emulator is"),
    )
    cells = (Cell(cell=0, node=0, vcpus=CPUSet.parse("0-3"), memory_bytes=3 * GIB // 2),)
    warning = "threads=1 hides from the guest that vCPUs share host cores: set spec.domain.cpu.threads to 2"
    return Example(host=host, pinning=replace(pinning, reasons=reasons, cells=cells, warnings=(warning,)))


def _two_nodes() -> Example:
    host = host_of(nodes=2, caches=2, cores=8)
    vcpus = [cpu for first in range(8, 22) for cpu in (first, first + 32)]
    pinning = pinning_of(
        host,
        cpuset="8-23,40-55",
        vcpus=vcpus,
        emulator="22",
        iothreads=("54",),
        housekeeping="22,54",
        spare="23,55",
    )
    return Example(host=host, pinning=pinning)


def _server() -> Example:
    host = host_of(nodes=2, caches=8, cores=8)
    vcpus = [cpu for first in range(64, 124) for cpu in (first, first + 128)]
    pinning = pinning_of(
        host,
        cpuset="64-127,192-255",
        vcpus=vcpus,
        emulator="124",
        iothreads=("252",) * 16,
        housekeeping="124,252",
        spare="125-127,253-255",
    )
    return Example(host=host, pinning=pinning)


def _giant() -> Example:
    host = host_of(nodes=8, caches=8, cores=16)
    # Every third CPU, with a gap in the middle: a cpuset as fragmented as they come.
    cpus = [cpu for cpu in range(0, 2048, 3) if not 700 < cpu < 900]
    pinning = pinning_of(
        host,
        cpuset=str(CPUSet.of(cpus)),
        vcpus=cpus[:512],
        emulator=str(cpus[512]),
        housekeeping=str(cpus[512]),
        spare=str(CPUSet.of(cpus[513:])),
    )
    return Example(host=host, pinning=pinning)


def _hybrid() -> Example:
    host = host_of(cores=6, threads=(2, 2, 1, 1, 1, 1), contiguous=True)
    left = "2-3,6-7"
    pinning = pinning_of(host, cpuset="0-7", vcpus=(0, 1, 4, 5), emulator=left, housekeeping=left)
    return Example(host=host, pinning=pinning)


def _power() -> Example:
    host = host_of(cores=4, threads=8, contiguous=True)
    return Example(
        host=host,
        pinning=pinning_of(host, cpuset="8-23", vcpus=range(8, 23), emulator="23", housekeeping="23"),
    )


def _undedicated() -> Example:
    host = host_of(cores=4, offline="3")
    return Example(host=host, pinning=pinning_of(host, cpuset="1,5", iothreads=("1,5",)))


def _degraded() -> Example:
    host = host_of(cores=4, offline="3,7")
    return Example(host=host, pinning=pinning_of(host, cpuset="1-3,5", vcpus=(1, 5, 1, 5, 1, 3, 1, 1, 1)))


def _mixed() -> Example:
    host = host_of(cores=4)
    pinning = pinning_of(host, cpuset="1-3,5-6", vcpus=(1, 5), emulator="3", housekeeping="2-3,6")
    shared = (SharedPin(vcpu=2, cpus=CPUSet.parse("2,6")), SharedPin(vcpu=3, cpus=CPUSet.parse("2,6")))
    return Example(host=host, pinning=replace(pinning, shared=shared))


def _no_node() -> Example:
    regular = host_of(cores=10, threads=1)
    host = Host(
        cpus=tuple(replace(cpu, node=NO_NODE, cache=cpu.core) for cpu in regular.cpus),
        nodes=(Node(node=0, memory_bytes=8 * GIB),),
    )
    return Example(host=host, pinning=pinning_of(host, cpuset="0-3", vcpus=(1, 2), emulator="0", housekeeping="0"))


def _eight_nodes() -> Example:
    host = host_of(nodes=8, cores=4, threads=1)
    return Example(host=host, pinning=pinning_of(host, cpuset="2-5", vcpus=(2, 3, 4, 5)))


EXAMPLES: dict[str, Callable[[], Example]] = {
    "desktop-1n4c2t": _desktop,
    "server-2n2l8c2t": _two_nodes,
    "server-2n8l8c2t": _server,
    "giant-8n8l16c2t": _giant,
    "hybrid-2x2t-4x1t": _hybrid,
    "power-4c8t": _power,
    "undedicated-offline3": _undedicated,
    "degraded-offline3": _degraded,
    "mixed-1n4c2t": _mixed,
    "cpus-in-no-node": _no_node,
    "arm-8n4c1t": _eight_nodes,
}


@st.composite
def hosts(draw: st.DrawFn) -> Host:
    """Draw an irregular host: cores of 1 to 8 threads, caches and nodes of any shape, sparse numbers, offline CPUs."""
    cores_of_a_cache = st.lists(st.sampled_from((1, 1, 2, 2, 8)), min_size=1, max_size=5)
    caches_of_a_node = st.lists(cores_of_a_cache, min_size=1, max_size=3)
    nodes = draw(st.lists(caches_of_a_node, min_size=1, max_size=3))
    places = [
        (node, (node, cache), (node, cache, core))
        for node, caches in enumerate(nodes)
        for cache, cores in enumerate(caches)
        for core, threads in enumerate(cores)
        for _ in range(threads)
    ]
    step = draw(st.integers(1, 5))
    numbers = [n * step for n in range(len(places))]
    draw(st.randoms(use_true_random=True)).shuffle(numbers)
    caches_seen = {cache: n for n, cache in enumerate(sorted({cache for _, cache, _ in places}))}
    cores_seen = {core: n for n, core in enumerate(sorted({core for _, _, core in places}))}
    first = draw(st.sampled_from((NO_NODE, 0)))
    cpus = [
        CPU(cpu=number, core=cores_seen[core], die=0, socket=node // 2, node=node + first, cache=caches_seen[cache])
        for number, (node, cache, core) in zip(numbers, places, strict=True)
    ]
    memory = st.sampled_from((0, 1000, 5 * GIB))
    return Host(
        cpus=tuple(sorted(cpus, key=lambda cpu: cpu.cpu)),
        nodes=tuple(Node(node=node, memory_bytes=draw(memory)) for node in range(draw(st.integers(0, 4)))),
        offline=CPUSet.of(draw(st.sets(st.integers(8000, 8191), max_size=3))),
    )


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """Draw a host and any placement on it, sensible or not: a drawing must be right for all of them."""
    host = draw(hosts())
    known = sorted(host.online | host.offline)
    cpuset = sorted(draw(st.sets(st.sampled_from(known), min_size=1)))
    member = st.sampled_from(cpuset)
    some = st.sets(member).map(lambda cpus: str(CPUSet.of(cpus)))
    pinning = pinning_of(
        host,
        cpuset=str(CPUSet.of(cpuset)),
        vcpus=draw(st.lists(member, max_size=20)),
        emulator=draw(some),
        iothreads=draw(st.lists(some, max_size=12)),
        housekeeping=draw(some),
        spare=draw(some),
        source=draw(st.text(max_size=60)),
    )
    return Example(host=host, pinning=replace(pinning, warnings=tuple(draw(st.lists(st.text(), max_size=2)))))
