"""Generated small hosts, cpusets and guests for the property tests of the planner."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

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
def _topologies(draw: st.DrawFn, most_vcpus: int, most_threads: int) -> Topology:
    threads = draw(st.integers(1, min(most_threads, most_vcpus)))
    cores = draw(st.integers(1, min(3, most_vcpus // threads)))
    sockets = draw(st.integers(1, min(3, most_vcpus // (threads * cores))))
    return Topology(sockets=sockets, cores=cores, threads=threads)
