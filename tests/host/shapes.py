"""Machines that are written, not captured: their files of sysfs and proc, made from a list of hardware threads."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from launcher.cpuset import CPUSet
from launcher.host.capture import CaptureTree, capture, parse_capture

_CPU = "sys/devices/system/cpu"
_NODE = "sys/devices/system/node"

Key = TypeVar("Key", bound=Hashable)

# The number of the CPU that is thread t of core c.
Numbering = Callable[[int, int], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """One hardware thread and the numbers, unique over the machine, of what holds it; None where sysfs says nothing."""

    cpu: int
    core: int
    core_id: int
    socket: int
    node: int | None
    cache: int | None
    die: int | None = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a NUMA node has: kilobytes, the distances as sysfs prints them, huge pages as (size in kB, total, free)."""

    kilobytes: int
    distances: str
    huge_pages: tuple[tuple[int, int, int], ...] = ((2048, 0, 0),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine to write; `extra` adds files to those of its threads and nodes or replaces them, None takes away."""

    threads: tuple[Thread, ...]
    nodes: Mapping[int, Memory]
    arch: str = "x86_64"
    page_kilobytes: int = 4
    affinity: str | None = None
    extra: Mapping[str, str | None] = field(default_factory=dict)


def grid(*, sockets: int, nodes: int, caches: int, cores: int, threads: int, number: Numbering) -> tuple[Thread, ...]:
    """Return the threads of a regular machine: nodes in each socket, caches in each node, cores in each cache."""
    return tuple(
        Thread(
            cpu=number(core, thread),
            core=core,
            core_id=core % (nodes * caches * cores),
            socket=core // (nodes * caches * cores),
            node=core // (caches * cores),
            cache=core // cores,
        )
        for core in range(sockets * nodes * caches * cores)
        for thread in range(threads)
    )


def adjacent(threads: int) -> Numbering:
    """Number a core's threads one after the other, as POWER and virtual machines do."""
    return lambda core, thread: core * threads + thread


def second_round(cores: int) -> Numbering:
    """Number the first threads of all cores, then the second ones, as x86 firmware does."""
    return lambda core, thread: thread * cores + core


def dealt(cores: int, sockets: int) -> Numbering:
    """Deal the numbers to the sockets in turn, first threads first, as some x86 servers do."""
    per_socket = cores // sockets
    return lambda core, thread: thread * cores + core % per_socket * sockets + core // per_socket


def files_of(machine: Machine) -> dict[str, str]:
    """Return the files of a machine by path, values escaped as in a capture."""
    online = _cpulist(thread.cpu for thread in machine.threads)
    allowed = machine.affinity or online
    files: dict[str, str | None] = {
        "proc/sys/kernel/arch": machine.arch,
        "proc/self/statm": "1",
        "proc/self/status": f"VmSize:\\t{machine.page_kilobytes} kB\\nCpus_allowed_list:\\t{allowed}",
        f"{_CPU}/online": online,
        f"{_CPU}/offline": "",
        f"{_CPU}/present": online,
        **_cpu_files(machine.threads),
        **_node_files(machine),
        **machine.extra,
    }
    return {path: value for path, value in files.items() if value is not None}


def tree_of(machine: Machine, source: str = "written") -> CaptureTree:
    """Return the machine as the readers see it."""
    return parse_capture("".join(f"{path}: {value}\n" for path, value in files_of(machine).items()), source)


def written(machine: Machine) -> str:
    """Return the capture of a machine."""
    affinity = machine.affinity or _cpulist(thread.cpu for thread in machine.threads)
    return capture(tree_of(machine), CPUSet.parse(affinity), machine.arch)


def _cpu_files(threads: tuple[Thread, ...]) -> dict[str, str | None]:
    cores = _members((thread.core, thread.cpu) for thread in threads)
    sockets = _members((thread.socket, thread.cpu) for thread in threads)
    caches = _members((thread.cache, thread.cpu) for thread in threads)
    files: dict[str, str | None] = {}
    for thread in threads:
        topology, cache = f"{_CPU}/cpu{thread.cpu}/topology", f"{_CPU}/cpu{thread.cpu}/cache"
        files |= {
            f"{topology}/core_cpus_list": cores[thread.core],
            f"{topology}/core_id": str(thread.core_id),
            f"{topology}/die_id": None if thread.die is None else str(thread.die),
            f"{topology}/package_cpus_list": sockets[thread.socket],
            f"{topology}/physical_package_id": str(thread.socket),
        }
        if thread.cache is not None:
            files |= _cache_files(f"{cache}/index0", 1, "Data", cores[thread.core])
            files |= _cache_files(f"{cache}/index1", 1, "Instruction", cores[thread.core])
            files |= _cache_files(f"{cache}/index3", 3, "Unified", caches[thread.cache])
    return files


def _cache_files(folder: str, level: int, kind: str, shared: str) -> dict[str, str | None]:
    return {f"{folder}/level": str(level), f"{folder}/type": kind, f"{folder}/shared_cpu_list": shared}


def _node_files(machine: Machine) -> dict[str, str | None]:
    cpus = _members((thread.node, thread.cpu) for thread in machine.threads)
    files: dict[str, str | None] = {f"{_NODE}/online": _cpulist(machine.nodes)} if machine.nodes else {}
    for node, memory in machine.nodes.items():
        folder = f"{_NODE}/node{node}"
        files[f"{folder}/cpulist"] = cpus.get(node, "")
        files[f"{folder}/meminfo"] = f"Node {node} MemTotal: {memory.kilobytes} kB"
        files[f"{folder}/distance"] = memory.distances
        for size, total, free in memory.huge_pages:
            files[f"{folder}/hugepages/hugepages-{size}kB/nr_hugepages"] = str(total)
            files[f"{folder}/hugepages/hugepages-{size}kB/free_hugepages"] = str(free)
    return files


def _members(pairs: Iterable[tuple[Key, int]]) -> dict[Key, str]:
    """Return for each key the cpulist of its CPUs."""
    cpus: dict[Key, list[int]] = {}
    for key, cpu in pairs:
        cpus.setdefault(key, []).append(cpu)
    return {key: _cpulist(members) for key, members in cpus.items()}


def _cpulist(numbers: Iterable[int]) -> str:
    return str(CPUSet.of(numbers))
