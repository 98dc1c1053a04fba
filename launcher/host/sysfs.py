"""The machine as sysfs tells it: the online CPUs with their cores, dies, sockets, caches and NUMA nodes.

Where files contradict one another, what decides on which core or node a thread lands ends in a HostError; what only
weakens an optimisation is read in the safe way and said in `Host.warnings`:

| found | reading |
|---|---|
| an online CPU without topology files, while others have them | HostError (read again first: it may just have gone) |
| no CPU has topology files (a sandbox that hides them) | warning; each CPU is a core of its own, all in one socket |
| sibling lists that disagree, or do not hold their own CPU | HostError |
| siblings that differ in core_id | warning; the lists, which the scheduler uses |
| package list and physical_package_id disagree | warning; the ids |
| no physical_package_id, or -1 (some ARM and POWER guests) | one socket, numbered after the known ones |
| caches that overlap or do not hold their own CPU | warning; the cache that was read first keeps the CPU |
| no cache files above level 1 | the CPUs of one socket and node count as sharing a cache |
| isolated or nohz_full that does not parse | warning; none ("(null)" is how older kernels say none) |
| a CPU both online and offline, or anything that does not parse | HostError |

What is said of nodes is in `launcher.host.nodes`. The files are those of the kernel's Documentation/ABI/stable/
sysfs-devices-system-cpu. Each is read only as far as it decides something: a capture holds what is read.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.kinds import read_kinds
from launcher.host.model import CPU, ISOLATED, NO_NODE, NOHZ_FULL, ONLINE, CoreKind, Host
from launcher.host.nodes import node_warnings, nodes_by_cpu, read_node_folders, read_nodes
from launcher.host.pages import read_pools
from launcher.host.processor import needs_topoext
from launcher.host.tree import Tree, read_cpus, read_integer

ARCH = "proc/sys/kernel/arch"
STATM = "proc/self/statm"
STATUS = "proc/self/status"

_FOLDER = "sys/devices/system/cpu"
_OFFLINE = f"{_FOLDER}/offline"

# How often the machine is read anew when CPUs come or go meanwhile; each time costs milliseconds.
_READINGS = 3

_SMALLEST_PAGE_BYTES = 4096
# What the kernel prints of a mask that was never made: nohz_full without its boot parameter.
_NO_MASK = "(null)"
_VIRTUAL_SIZE = re.compile(r"^VmSize:\s*(\d{1,15}) kB", re.ASCII | re.MULTILINE)
_PAGES = re.compile(r"(\d{1,15})(?=\s|$)", re.ASCII)

Key = TypeVar("Key", bound=Hashable)


class _Core(Struct, frozen=True, kw_only=True):
    cpus: CPUSet
    socket: int
    die: int


class _Cache(Struct, frozen=True, kw_only=True):
    cpus: CPUSet
    level: int


def read_host(tree: Tree, arch: str) -> Host:
    """Read the machine; `arch` (as `uname -m` says it) stands in where the kernel, before 6.1, has no file for it.

    Sockets and nodes keep the kernel's numbers. Cores, dies and caches are numbered from 0 in the order of their lowest
    CPU, as lscpu numbers cores. Raises HostError that names the file, what it holds and what was wanted.
    """
    for _ in range(_READINGS - 1):
        before = tree.read(ONLINE)
        try:
            host = _read_once(tree, arch)
        except HostError:
            if tree.read(ONLINE) == before:
                raise
            continue
        if tree.read(ONLINE) == before:
            return host
    return _read_once(tree, arch)


def read_page_bytes(tree: Tree) -> int:
    """Return the page size: this process's size in bytes (VmSize) over its size in pages (statm), proc_pid_statm(5).

    The kernel has no file that says it outright. The ratio is rounded to a power of two because the process may grow
    between the two readings.
    """
    size, pages = _VIRTUAL_SIZE.search(tree.read(STATUS) or ""), _PAGES.match(tree.read(STATM) or "")
    if size is None or pages is None or not int(pages[1]):
        return _SMALLEST_PAGE_BYTES
    ratio = (int(size[1]) << 10) / int(pages[1])
    return max(_SMALLEST_PAGE_BYTES, 1 << (round(ratio * 2 / 3)).bit_length())


def _read_once(tree: Tree, arch: str) -> Host:
    online = _read_online(tree)
    offline = _read_offline(tree, online)
    siblings, sibling_warnings = _read_siblings(tree, online)
    cores = _read_cores(tree, siblings)
    folders = read_node_folders(tree, online)
    node_of = nodes_by_cpu(tree, folders)
    caches, cache_warnings = _read_caches(tree, cores, node_of)
    nodes, memory_warnings = read_nodes(tree, folders)
    kinds = read_kinds(tree, (core.cpus for core in cores))
    isolated, isolated_warnings = _read_quiet(tree, ISOLATED, online)
    nohz_full, nohz_warnings = _read_quiet(tree, NOHZ_FULL, online)
    return Host(
        cpus=_number(cores, caches, node_of, kinds),
        nodes=nodes,
        offline=offline,
        arch=(tree.read(ARCH) or arch).strip(),
        page_bytes=read_page_bytes(tree),
        isolated=isolated,
        nohz_full=nohz_full,
        kinds=kinds,
        page_pools=read_pools(tree),
        needs_topoext=needs_topoext(tree),
        warnings=(
            *sibling_warnings,
            *_core_id_warnings(tree, cores),
            *_package_warnings(tree, cores, online),
            *cache_warnings,
            *node_warnings(online, node_of),
            *memory_warnings,
            *isolated_warnings,
            *nohz_warnings,
        ),
    )


def _read_online(tree: Tree) -> CPUSet:
    online = read_cpus(tree, ONLINE)
    if not online:
        found = "absent" if online is None else "empty"
        raise HostError(f"{tree.where(ONLINE)}: {found}; wanted the list of the online CPUs")
    return online


def _read_offline(tree: Tree, online: CPUSet) -> CPUSet:
    """Return the CPUs that are plugged in but offline; the file "offline" alone also counts empty slots for CPUs."""
    offline = read_cpus(tree, _OFFLINE) or CPUSet()
    both = offline & online
    if both:
        raise HostError(f"{tree.where(_OFFLINE)}: holds {both}, and so does {tree.where(ONLINE)}")
    present = read_cpus(tree, f"{_FOLDER}/present")
    return offline if present is None else offline & present


def _read_quiet(tree: Tree, file: str, online: CPUSet) -> tuple[CPUSet, tuple[str, ...]]:
    """Return the online CPUs that a boot parameter has made quiet, as this file lists them, and the warnings."""
    path = file.lstrip("/")
    text = (tree.read(path) or "").strip()
    try:
        return CPUSet.parse("" if text == _NO_MASK else text) & online, ()
    except ValueError as error:
        return CPUSet(), (f"{tree.where(path)}: {error}; it is taken for an empty list",)


def _read_siblings(tree: Tree, online: CPUSet) -> tuple[Mapping[int, CPUSet], tuple[str, ...]]:
    """Return for each online CPU the online CPUs of its core, and the warnings."""
    siblings = _siblings_by_list(tree, online)
    siblings |= _siblings_by_id(tree, online - CPUSet.of(siblings))
    bare = online - CPUSet.of(siblings)
    if bare == online:
        warning = f"{tree.where(_FOLDER)}: no CPU has topology files; each is taken for a core of its own"
        return {cpu: CPUSet.of((cpu,)) for cpu in online}, (warning,)
    if bare:
        folder = tree.where(f"{_FOLDER}/cpu{bare.lowest}/topology")
        raise HostError(f"{folder}: absent or empty, though {tree.where(ONLINE)} holds CPU {bare.lowest} ({online})")
    _check_siblings(tree, siblings)
    return siblings, ()


def _siblings_by_list(tree: Tree, online: CPUSet) -> dict[int, CPUSet]:
    # thread_siblings_list is the name before Linux 5.3.
    listed = {cpu: _read_list(tree, cpu, "core_cpus_list", "thread_siblings_list") for cpu in online}
    return {cpu: cpus & online for cpu, cpus in listed.items() if cpus is not None}


def _siblings_by_id(tree: Tree, cpus: CPUSet) -> dict[int, CPUSet]:
    """Group CPUs without sibling lists by socket, die, cluster and core_id, leaving out those that have no core_id."""
    keys = {
        cpu: tuple(_read_id(tree, cpu, name) for name in ("physical_package_id", "die_id", "core_id")) for cpu in cpus
    }
    known = {cpu: key for cpu, key in keys.items() if key[-1] is not None}
    groups = _grouped(known)
    return {cpu: groups[key] for cpu, key in known.items()}


def _check_siblings(tree: Tree, siblings: Mapping[int, CPUSet]) -> None:
    for cpu, members in siblings.items():
        where = f"{tree.where(f'{_FOLDER}/cpu{cpu}/topology')}: the siblings are {str(members) or 'none'}, which"
        if cpu not in members:
            raise HostError(f"{where} leaves out CPU {cpu} itself")
        other = next((member for member in members if siblings[member] != members), None)
        if other is not None:
            raise HostError(f"{where} CPU {other} contradicts with {siblings[other]}")


def _read_cores(tree: Tree, siblings: Mapping[int, CPUSet]) -> tuple[_Core, ...]:
    """Return the cores, ascending by their lowest CPU, whose files speak for the core."""
    groups = [members for cpu, members in sorted(siblings.items()) if cpu == members.lowest]
    sockets = [_read_id(tree, cpus.lowest, "physical_package_id") for cpus in groups]
    unknown = 1 + max((socket for socket in sockets if socket is not None), default=-1)
    return tuple(
        _Core(
            cpus=cpus,
            socket=unknown if socket is None else socket,
            die=_read_id(tree, cpus.lowest, "die_id") or 0,
        )
        for cpus, socket in zip(groups, sockets, strict=True)
    )


def _core_id_warnings(tree: Tree, cores: tuple[_Core, ...]) -> tuple[str, ...]:
    """Name the cores whose threads differ in core_id; cores of two ARM clusters may share one, which is no fault."""
    split = [core.cpus for core in cores if len({_read_id(tree, cpu, "core_id") for cpu in core.cpus}) > 1]
    return tuple(
        f"{tree.where(f'{_FOLDER}/cpu{cpus.lowest}/topology')}: the CPUs {cpus} are siblings, but differ in core_id; "
        "the list of siblings is believed"
        for cpus in split
    )


def _package_warnings(tree: Tree, cores: tuple[_Core, ...], online: CPUSet) -> tuple[str, ...]:
    """Compare each socket's own list of CPUs with the ids that the CPUs give."""
    sockets = _grouped({cpu: core.socket for core in cores for cpu in core.cpus})
    return tuple(
        f"{tree.where(f'{_FOLDER}/cpu{cpus.lowest}/topology')}: the package holds {listed & online}, but "
        f"physical_package_id {socket} is on {cpus}; the ids are believed"
        for socket, cpus in sorted(sockets.items())
        if (listed := _read_list(tree, cpus.lowest, "package_cpus_list", "core_siblings_list")) is not None
        and listed & online != cpus
        and _read_id(tree, cpus.lowest, "physical_package_id") is not None
    )


def _read_caches(
    tree: Tree, cores: tuple[_Core, ...], node_of: Mapping[int, int]
) -> tuple[Mapping[int, _Cache], tuple[str, ...]]:
    """Return for each CPU its last-level cache, and the warnings; caches do not overlap."""
    sockets = {cpu: core.socket for core in cores for cpu in core.cpus}
    online = CPUSet.of(sockets)
    caches, warnings = _read_cache_files(tree, online)
    keys = {cpu: (node_of.get(cpu, NO_NODE), sockets[cpu]) for cpu in online - CPUSet.of(caches)}
    groups = {key: _Cache(cpus=cpus, level=0) for key, cpus in _grouped(keys).items()}
    return caches | {cpu: groups[key] for cpu, key in keys.items()}, warnings


def _read_cache_files(tree: Tree, online: CPUSet) -> tuple[dict[int, _Cache], tuple[str, ...]]:
    caches: dict[int, _Cache] = {}
    warnings = []
    seen = CPUSet()
    for cpu in online:
        last = None if cpu in seen else _read_last_cache(tree, cpu)
        if last is None:
            continue
        shared = last.cpus
        if cpu not in shared or shared & seen:
            where = tree.where(f"{_FOLDER}/cpu{cpu}/cache")
            warnings.append(f"{where}: {shared} share the last-level cache, which contradicts another CPU or this one")
        members = (shared & online) - seen | CPUSet.of((cpu,))
        caches |= dict.fromkeys(members, _Cache(cpus=members, level=last.level))
        seen |= members
    return caches, tuple(warnings)


def _read_last_cache(tree: Tree, cpu: int) -> _Cache | None:
    """Return this CPU's data or unified cache of the highest level, None where sysfs has none.

    Level 1 is a core's own everywhere; where nothing above is told, nothing is known of what cores share.
    """
    folder = f"{_FOLDER}/cpu{cpu}/cache"
    indexes = [f"{folder}/{name}" for name in tree.list(folder) if name.startswith("index")]
    levels = {index: read_integer(tree, f"{index}/level") or 0 for index in indexes}
    for index in sorted((index for index in indexes if levels[index] > 1), key=lambda index: -levels[index]):
        if (tree.read(f"{index}/type") or "").strip() != "Instruction":
            shared = read_cpus(tree, f"{index}/shared_cpu_list")
            return None if shared is None else _Cache(cpus=shared, level=levels[index])
    return None


def _number(
    cores: tuple[_Core, ...], caches: Mapping[int, _Cache], node_of: Mapping[int, int], kinds: tuple[CoreKind, ...]
) -> tuple[CPU, ...]:
    """Give cores, dies and caches their numbers, in the order of their lowest CPU."""
    dies = _ranks((core.socket, core.die) for core in cores)
    cache_ranks = _ranks(caches[cpu].cpus.lowest for cpu in sorted(caches))
    kind_of = {cpu: rank for rank, kind in enumerate(kinds) for cpu in kind.cpus}
    cpus = (
        CPU(
            cpu=cpu,
            core=number,
            die=dies[core.socket, core.die],
            socket=core.socket,
            node=node_of.get(cpu, NO_NODE),
            cache=cache_ranks[caches[cpu].cpus.lowest],
            cache_level=caches[cpu].level,
            kind=kind_of.get(cpu, 0),
        )
        for number, core in enumerate(cores)
        for cpu in core.cpus
    )
    return tuple(sorted(cpus, key=lambda cpu: cpu.cpu))


def _read_list(tree: Tree, cpu: int, *names: str) -> CPUSet | None:
    """Read the first of these files in the CPU's topology folder that is there."""
    for name in names:
        cpus = read_cpus(tree, f"{_FOLDER}/cpu{cpu}/topology/{name}")
        if cpus is not None:
            return cpus
    return None


def _read_id(tree: Tree, cpu: int, name: str) -> int | None:
    """Read an id of the CPU's topology folder; None where it is absent or negative, the kernel's "not known"."""
    number = read_integer(tree, f"{_FOLDER}/cpu{cpu}/topology/{name}")
    return None if number is None or number < 0 else number


def _grouped(keys: Mapping[int, Key]) -> dict[Key, CPUSet]:
    """Return the CPUs of each key."""
    groups: dict[Key, list[int]] = {}
    for cpu, key in keys.items():
        groups.setdefault(key, []).append(cpu)
    return {key: CPUSet.of(cpus) for key, cpus in groups.items()}


def _ranks(keys: Iterable[Key]) -> dict[Key, int]:
    """Number the different keys from 0 in the order in which they come."""
    return {key: rank for rank, key in enumerate(dict.fromkeys(keys))}
