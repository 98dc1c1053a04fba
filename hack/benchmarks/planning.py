"""The planner by size, each size twice the one before, on cpusets that are fragmented at random."""

from __future__ import annotations

import random
import time
from itertools import product
from statistics import median

from msgspec import Struct

from hack.benchmarks.samples import Samples, ratio
from hack.benchmarks.table import Row, Section
from launcher.cpuset import CPUSet
from launcher.host.model import CPU, AllowedCPUs, Host, Node
from launcher.planner.optimum.placement import place
from launcher.planner.plan import plan
from launcher.vmi.guest import Guest, GuestCPU, GuestMemory, Topology

_NODES = 8
# Cores of a node: the host has sixteen CPUs for each, the guest a quarter of them as vCPUs.
_CORES = (16, 32, 64, 128)
_CACHES_PER_NODE = 8
# In words, how much larger than needed, and the milliseconds that the largest plan may take.
_CPUSETS = (("exactly as large as needed", 0.0, 50.0), ("half as large again", 0.5, 200.0))
_SHUFFLES = 5


def measure_planning(turns: int) -> tuple[Section, ...]:
    """Time plans of each size in turns, on cpusets without and with a choice; 512 vCPUs on 2,048 CPUs at most."""
    _plan_seconds(_CORES[0], 0.0)
    sizes = (_measure_cpuset(words, spare, target, turns) for words, spare, target in _CPUSETS)
    return (*sizes, *(_measure_shapes(words, spare, target, turns) for words, spare, target in _CPUSETS))


def _measure_shapes(words: str, spare: float, target: float, turns: int) -> Section:
    rows = []
    for shape, reserved in product(_SHAPES, _RESERVED):
        values = tuple(_shape_seconds(shape, reserved, spare) for _turn in range(turns))
        what = f"{shape.name}, {reserved} housekeeping {'CPU' if reserved == 1 else 'CPUs'}"
        rows.append(Row(what=what, samples=Samples(values=values).times(1000), unit="ms", target=target))
    return Section(title=f"plan, 512 vCPUs on 2,048 CPUs by shape, a cpuset {words}", rows=tuple(rows))


def _shape_seconds(shape: _Shape, reserved: int, spare: float) -> float:
    """Return the median CPU seconds of placing 512 vCPUs, a socket for each node."""
    host = shape.cpus()
    topology = Topology(sockets=shape.nodes, cores=512 // shape.nodes // shape.threads, threads=shape.threads)
    needed = topology.vcpus + reserved
    seconds = []
    for shuffle in range(_SHUFFLES):
        cpus = random.Random(shuffle).sample(host, min(len(host), needed + int(needed * spare)))  # noqa: S311
        started_s = time.process_time()
        place(cpus, topology, reserved)
        seconds.append(time.process_time() - started_s)
    return median(seconds)


class _Shape(Struct, frozen=True, kw_only=True):
    """A machine of 2,048 CPUs: its nodes, the last-level caches of each, and the threads of a core."""

    name: str
    nodes: int
    caches: int
    threads: int = 2

    def cpus(self) -> list[CPU]:
        """Build its CPUs, numbered by their cores first."""
        cores = 2048 // self.threads
        return [
            CPU(
                cpu=thread * cores + core,
                core=core,
                die=core * self.nodes // cores,
                socket=core * self.nodes // cores,
                node=core * self.nodes // cores,
                cache=core * self.nodes * self.caches // cores,
            )
            for thread in range(self.threads)
            for core in range(cores)
        ]


_SHAPES = (
    _Shape(name="8 nodes of 1 cache", nodes=8, caches=1),
    _Shape(name="8 nodes of 8 caches", nodes=8, caches=8),
    _Shape(name="16 nodes of 4 caches", nodes=16, caches=4),
    _Shape(name="2 nodes of 32 caches", nodes=2, caches=32),
    _Shape(name="8 nodes of 4 caches, SMT-8", nodes=8, caches=4, threads=8),
)
# The emulator's, and those of a large pool beside it.
_RESERVED = (1, 34)


def _measure_cpuset(words: str, spare: float, target: float, turns: int) -> Section:
    measured = [[_plan_seconds(cores, spare) for cores in _CORES] for _turn in range(turns)]
    by_size = tuple(Samples(values=tuple(values)) for values in zip(*measured, strict=True))
    rows = tuple(_row(cores, samples, target) for cores, samples in zip(_CORES, by_size, strict=True))
    doubled = Row(what="the last doubling", samples=ratio(by_size[-1], by_size[-2]), unit="x", target=2.2)
    return Section(title=f"plan, {_NODES} nodes, a fragmented cpuset {words}", rows=(*rows, doubled))


def _row(cores: int, samples: Samples, target: float) -> Row:
    cpus = 2 * _NODES * cores
    return Row(
        what=f"{cpus // 4} vCPUs on {cpus} CPUs",
        samples=samples.times(1000),
        unit="ms",
        target=target if cores == _CORES[-1] else None,
    )


def _plan_seconds(cores: int, spare: float) -> float:
    """Return the median CPU seconds of one plan over some shuffled cpusets, the same in every run.

    A plan waits for nothing; to its CPU time others on the machine add less than to the wall's.
    """
    host, guest = _build_host(cores), _build_guest(cores)
    needed = guest.cpu.topology.vcpus + 1
    seconds = []
    for shuffle in range(_SHUFFLES):
        # Any shuffle will do that is the same in every run; nothing is secret here.
        numbers = random.Random(shuffle).sample(range(len(host.cpus)), needed + int(needed * spare))  # noqa: S311
        allowed = AllowedCPUs(cpus=CPUSet.of(numbers), source="bench")
        started_s = time.process_time()
        plan(guest, host, allowed)
        seconds.append(time.process_time() - started_s)
    return median(seconds)


def _build_host(cores: int) -> Host:
    """Build a host whose second threads are numbered after all first ones, as x86 does."""
    all_cores = _NODES * cores
    cpus = tuple(
        CPU(
            cpu=thread * all_cores + core,
            core=core,
            die=core // cores,
            socket=core // cores,
            node=core // cores,
            cache=core * _CACHES_PER_NODE // cores,
        )
        for thread in range(2)
        for core in range(all_cores)
    )
    return Host(cpus=cpus, nodes=tuple(Node(node=node, memory_bytes=1 << 36) for node in range(_NODES)))


def _build_guest(cores: int) -> Guest:
    """Build a guest with an isolated emulator and a socket for each node, its cores of two threads."""
    topology = Topology(sockets=_NODES, cores=cores // 4, threads=2)
    cpu = GuestCPU(topology=topology, dedicated=True, isolate_emulator_thread=True)
    return Guest(name="bench", cpu=cpu, memory=GuestMemory(guest_bytes=1 << 30))
