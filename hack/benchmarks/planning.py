"""The planner by size, each size twice the one before, on cpusets that are fragmented at random."""

from __future__ import annotations

import random
import time
from statistics import median

from hack.benchmarks.samples import Samples, ratio
from hack.benchmarks.table import Row, Section
from launcher.cpuset import CPUSet
from launcher.host.model import CPU, AllowedCPUs, Host, Node
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
    return tuple(_measure_cpuset(words, spare, target, turns) for words, spare, target in _CPUSETS)


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
