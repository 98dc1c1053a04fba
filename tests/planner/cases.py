"""Generated small hosts, cpusets and guests for the property tests of the planner."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from msgspec.structs import replace

from launcher.host.model import CPU, Host, Node
from launcher.vmi.guest import Topology


@dataclass(frozen=True)
class Case:
    """One planning problem: the free CPUs (in a random order), the guest's shape, and the housekeeping CPUs."""

    cpus: tuple[CPU, ...]
    topology: Topology
    housekeeping: int


def regular_host(nodes: int, caches: int, cores: int, threads: int, *, interleaved: bool) -> tuple[CPU, ...]:
    """Build a host of `cores` cores per node, spread over its caches; interleaved deals the CPU numbers round."""
    places = [(node, core, thread) for node in range(nodes) for core in range(cores) for thread in range(threads)]
    if interleaved:
        places.sort(key=lambda place: (place[2], place[1], place[0]))
    return tuple(
        CPU(
            cpu=number,
            core=node * cores + core,
            die=node,
            socket=node,
            node=node,
            cache=node * caches + core * caches // cores,
        )
        for number, (node, core, thread) in enumerate(places)
    )


def as_host(cpus: tuple[CPU, ...]) -> Host:
    """Wrap the CPUs as a host whose nodes have memory and no huge pages."""
    nodes = sorted({cpu.node for cpu in cpus})
    return Host(
        cpus=tuple(sorted(cpus, key=lambda cpu: cpu.cpu)),
        nodes=tuple(Node(node=node, memory_bytes=1 << 34) for node in nodes),
    )


@st.composite
def cases(draw: st.DrawFn, *, most_threads: int = 2, most_cpus: int = 16, largest_spare: int = 6) -> Case:
    """Draw a host, a guest that fits, and a cpuset that is exactly as large as needed or larger."""
    threads = draw(st.sampled_from([size for size in (1, 2, 4) if size <= most_threads]))
    host = regular_host(
        draw(st.integers(1, 3)),
        draw(st.integers(1, 2)),
        draw(st.integers(1, 4)),
        threads,
        interleaved=draw(st.booleans()),
    )
    topology = draw(_topologies(min(len(host), most_cpus), most_threads))
    housekeeping = draw(st.integers(0, min(4, len(host) - topology.vcpus)))
    needed = topology.vcpus + housekeeping
    spare = draw(st.just(0) | st.integers(0, min(largest_spare, len(host) - needed)))
    cpus = draw(st.permutations(host))[: needed + spare]
    return Case(cpus=tuple(cpus), topology=topology, housekeeping=housekeeping)


@st.composite
def largest_cases(draw: st.DrawFn) -> Case:
    """Draw the largest guest that is compared, 3 sockets x 3 cores x 2 threads, on three nodes of four cores."""
    host = regular_host(3, draw(st.integers(1, 2)), 4, 2, interleaved=draw(st.booleans()))
    housekeeping = draw(st.integers(0, 1))
    spare = draw(st.integers(0, 1))
    cpus = draw(st.permutations(host))[: 18 + housekeeping + spare]
    return Case(cpus=tuple(cpus), topology=Topology(sockets=3, cores=3, threads=2), housekeeping=housekeeping)


@st.composite
def spanning_cases(draw: st.DrawFn) -> Case:
    """Draw a case on a host whose last-level caches span nodes: each every node's, or one of two neighbours."""
    case = draw(cases(most_cpus=8))
    nodes_to_a_cache = draw(st.integers(2, 3))
    cpus = tuple(replace(cpu, cache=cpu.node // nodes_to_a_cache * 2 + cpu.cache % 2) for cpu in case.cpus)
    return Case(cpus=cpus, topology=case.topology, housekeeping=case.housekeeping)


@st.composite
def cases_of_many_caches(draw: st.DrawFn) -> Case:
    """Draw a host of three or four nodes with two to four caches each, every CPU of whose cpuset is used."""
    caches = draw(st.integers(2, 4))
    threads = draw(st.integers(1, 2))
    host = regular_host(draw(st.integers(3, 4)), caches, caches * draw(st.integers(1, 2)), threads, interleaved=False)
    topology = draw(_larger_topologies(min(len(host), 12)))
    housekeeping = draw(st.integers(0, min(2, len(host) - topology.vcpus)))
    cpus = draw(st.permutations(host))[: topology.vcpus + housekeeping]
    return Case(cpus=tuple(cpus), topology=topology, housekeeping=housekeeping)


def _larger_topologies(most_vcpus: int) -> st.SearchStrategy[Topology]:
    """Sample the guests of up to 3 sockets x 4 cores x 2 threads that have at least six vCPUs."""
    shapes = [Topology(sockets=s, cores=c, threads=t) for s in (1, 2, 3) for c in (1, 2, 3, 4) for t in (1, 2)]
    return st.sampled_from([shape for shape in shapes if 6 <= shape.vcpus <= most_vcpus])


@st.composite
def _topologies(draw: st.DrawFn, most_vcpus: int, most_threads: int) -> Topology:
    threads = draw(st.integers(1, min(most_threads, most_vcpus)))
    cores = draw(st.integers(1, min(3, most_vcpus // threads)))
    sockets = draw(st.integers(1, min(3, most_vcpus // (threads * cores))))
    return Topology(sockets=sockets, cores=cores, threads=threads)
