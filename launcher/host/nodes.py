"""The NUMA nodes as sysfs tells them: their CPUs, memory, distances and huge pages.

| found | reading |
|---|---|
| no node folder (CONFIG_NUMA=n) | node 0 with all CPUs, and the memory of /proc/meminfo |
| a node that is online and has no list of CPUs; a CPU in two nodes; anything that does not parse | HostError |
| a CPU in no node | warning; `NO_NODE` |
| a node without meminfo; distances that are fewer or more than the nodes | warning; no memory, no distances |

The files are those of the kernel's Documentation/ABI/stable/sysfs-devices-node and admin-guide/mm/hugetlbpage.rst.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.model import HugePages, Node
from launcher.host.tree import Tree, parse_integer, read_cpus, read_integer

_FOLDER = "sys/devices/system/node"
_ONLINE = f"{_FOLDER}/online"
_MACHINE_HUGE_PAGES = "sys/kernel/mm/hugepages"
_MACHINE_MEMORY = "proc/meminfo"

# The distance of a node to itself (LOCAL_DISTANCE, include/linux/topology.h).
_LOCAL_DISTANCE = 10

_MEMORY = re.compile(r"MemTotal:\s*(\d{1,15}) kB", re.ASCII)
# What the kernel gives up for a program that wants memory: what is free, and what it can read from disk again.
_AVAILABLE = re.compile(r"(?:MemFree|(?:Active|Inactive)\(file\)|SReclaimable):\s*(\d{1,15}) kB", re.ASCII)
_SIZE = re.compile(r"hugepages-(\d{1,12})kB", re.ASCII)
_NAME = re.compile(r"node(\d{1,4})", re.ASCII)


class NodeFolder(Struct, frozen=True, kw_only=True):
    """A node's number, its CPUs, online or not, and where its memory, huge pages and distances are written."""

    node: int
    cpus: CPUSet
    meminfo: str
    huge_pages: str
    distances: str | None


def read_node_folders(tree: Tree, online: CPUSet) -> tuple[NodeFolder, ...]:
    """Return the nodes, ascending; node 0 with all of the machine where the kernel knows no nodes."""
    nodes = read_cpus(tree, _ONLINE) or _listed_nodes(tree)
    if nodes:
        return tuple(_read_node_folder(tree, node) for node in nodes)
    whole = NodeFolder(node=0, cpus=online, meminfo=_MACHINE_MEMORY, huge_pages=_MACHINE_HUGE_PAGES, distances=None)
    return (whole,)


def nodes_by_cpu(tree: Tree, folders: tuple[NodeFolder, ...]) -> Mapping[int, int]:
    """Return the node of each CPU that is in one; raises HostError for a CPU that is in two."""
    node_of: dict[int, int] = {}
    for folder in folders:
        for cpu in folder.cpus:
            other = node_of.setdefault(cpu, folder.node)
            if other != folder.node:
                raise HostError(
                    f"{tree.where(f'{_FOLDER}/node{folder.node}/cpulist')}: CPU {cpu} is in node {other} too"
                )
    return node_of


def node_warnings(online: CPUSet, node_of: Mapping[int, int]) -> tuple[str, ...]:
    """Name the CPUs that are in no node."""
    nodeless = online - CPUSet.of(node_of)
    return (f"CPUs {nodeless} are in no NUMA node",) if nodeless else ()


def read_nodes(tree: Tree, folders: tuple[NodeFolder, ...]) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """Return the nodes with their memory, distances and huge pages, and the warnings."""
    numbers = tuple(folder.node for folder in folders)
    nodes = tuple(
        Node(
            node=folder.node,
            memory_bytes=_read_memory_bytes(tree, folder.meminfo) or 0,
            distances=_paired(numbers, _read_distances(tree, folder)),
            huge_pages=_read_huge_pages(tree, folder.huge_pages),
        )
        for folder in folders
    )
    return nodes, tuple(warning for folder in folders for warning in _folder_warnings(tree, folder, len(numbers)))


def with_available_memory(tree: Tree, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Return the nodes with what of their memory is to be had at this moment; a capture does not have it."""
    is_whole = not tree.list(_FOLDER)
    paths = {node.node: _MACHINE_MEMORY if is_whole else f"{_FOLDER}/node{node.node}/meminfo" for node in nodes}
    return tuple(replace(node, available_bytes=_read_available_bytes(tree, paths[node.node])) for node in nodes)


def _read_available_bytes(tree: Tree, path: str) -> int | None:
    found = _AVAILABLE.findall(tree.read(path) or "")
    return sum(int(kibibytes) << 10 for kibibytes in found) if found else None


def _listed_nodes(tree: Tree) -> CPUSet:
    matches = (_NAME.fullmatch(name) for name in tree.list(_FOLDER))
    return CPUSet.of(int(match[1]) for match in matches if match)


def _read_node_folder(tree: Tree, node: int) -> NodeFolder:
    folder = f"{_FOLDER}/node{node}"
    cpus = read_cpus(tree, f"{folder}/cpulist")
    if cpus is None:
        raise HostError(f"{tree.where(f'{folder}/cpulist')}: absent, though {tree.where(_ONLINE)} holds node {node}")
    return NodeFolder(
        node=node,
        cpus=cpus,
        meminfo=f"{folder}/meminfo",
        huge_pages=f"{folder}/hugepages",
        distances=f"{folder}/distance",
    )


def _folder_warnings(tree: Tree, folder: NodeFolder, nodes: int) -> tuple[str, ...]:
    warnings = []
    if _read_memory_bytes(tree, folder.meminfo) is None:
        warnings.append(
            f"{tree.where(folder.meminfo)}: says no MemTotal; node {folder.node} is taken to have no memory"
        )
    distances = _read_distances(tree, folder)
    if folder.distances and distances and len(distances) != nodes:
        where = tree.where(folder.distances)
        warnings.append(f"{where}: {len(distances)} distances for {nodes} nodes; they are left out")
    return tuple(warnings)


def _read_memory_bytes(tree: Tree, path: str) -> int | None:
    match = _MEMORY.search(tree.read(path) or "")
    return int(match[1]) << 10 if match else None


def _read_distances(tree: Tree, folder: NodeFolder) -> tuple[int, ...]:
    if folder.distances is None:
        return (_LOCAL_DISTANCE,)
    path = folder.distances
    return tuple(parse_integer(tree, path, part) for part in (tree.read(path) or "").split())


def _paired(nodes: tuple[int, ...], distances: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Pair the nodes with their distances; sysfs writes one for every online node, ascending."""
    return tuple(zip(nodes, distances, strict=True)) if len(nodes) == len(distances) else ()


def _read_huge_pages(tree: Tree, folder: str) -> tuple[HugePages, ...]:
    """Return the huge pages, ascending by size."""
    sizes = {int(match[1]): name for name in tree.list(folder) if (match := _SIZE.fullmatch(name))}
    return tuple(
        HugePages(
            size_bytes=kilobytes << 10,
            total=read_integer(tree, f"{folder}/{name}/nr_hugepages") or 0,
            free=read_integer(tree, f"{folder}/{name}/free_hugepages") or 0,
        )
        for kilobytes, name in sorted(sizes.items())
    )
