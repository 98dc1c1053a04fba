"""What the control groups allow beside CPUs: nodes of memory, balancing of threads, CPU time, and huge pages.

| found | reading |
|---|---|
| cpuset.mems.effective (version 2), cpuset.effective_mems or cpuset.mems (version 1) | the nodes of the nearest group |
| none of them, or an empty one | Mems_allowed_list of /proc/self/status, else no bound |
| cpuset.cpus.partition "isolated", of the group or one above | its CPUs are not balanced; not "isolated invalid" |
| cpuset.sched_load_balance 0 (version 1) in every group that can be seen | likewise |
| anything that does not parse | HostError |

Sources: the kernel's admin-guide/cgroup-v2.rst ("Cpuset Interface Files") and admin-guide/cgroup-v1/cpusets.rst.
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.cgroup import first_file, group_folders, read_allowed_cpus, read_cpu_quota
from launcher.host.model import AllowedCPUs, Bounds
from launcher.host.page_limits import read_page_limits
from launcher.host.tree import Tree, read_cpus

_STATUS = "proc/self/status"
_MEMORY_LINE = re.compile(r"^Mems_allowed_list:(.*)$", re.MULTILINE)
_ISOLATED = "isolated"
_NOT_BALANCED = "0"


def read_allowed(tree: Tree, affinity: CPUSet) -> AllowedCPUs:
    """Read the CPUs that this process may use as `read_allowed_cpus` does, and with them all other bounds."""
    return replace(read_allowed_cpus(tree, affinity), bounds=read_bounds(tree))


def read_bounds(tree: Tree) -> Bounds:
    """Read what else the control groups say of this process; raises HostError that names the file."""
    version2, version1 = group_folders(tree, ""), group_folders(tree, "cpuset")
    memory_nodes, memory_source = _read_memory_nodes(tree, version2, version1)
    isolated, isolated_source = _read_partition(tree, version2) or _read_balancing(tree, version1) or (CPUSet(), "")
    return Bounds(
        memory_nodes=memory_nodes,
        memory_source=memory_source,
        isolated=isolated,
        isolated_source=isolated_source,
        quota=read_cpu_quota(tree),
        page_limits=read_page_limits(tree),
    )


def read_status_memory_nodes(tree: Tree) -> CPUSet | None:
    """Return the nodes that /proc/self/status names, None where it names none: how a capture keeps them."""
    match = _MEMORY_LINE.search(tree.read(_STATUS) or "")
    if match is None:
        return None
    try:
        return CPUSet.parse(match[1]) or None
    except ValueError as error:
        raise HostError(f"{tree.where(_STATUS)}: Mems_allowed_list: {error}") from error


def _read_memory_nodes(tree: Tree, version2: tuple[str, ...], version1: tuple[str, ...]) -> tuple[CPUSet | None, str]:
    path = first_file(tree, version2, "cpuset.mems.effective") or first_file(
        tree, version1, "cpuset.effective_mems", "cpuset.mems"
    )
    nodes = None if path is None else read_cpus(tree, path)
    if nodes:
        return nodes, f"/{path}"
    nodes = read_status_memory_nodes(tree)
    return nodes, "" if nodes is None else f"/{_STATUS}"


def _read_partition(tree: Tree, folders: tuple[str, ...]) -> tuple[CPUSet, str] | None:
    """Return the CPUs of the nearest group that is an isolated partition; a group inside one is not balanced either."""
    for folder in folders:
        path = f"{folder}/cpuset.cpus.partition"
        if (tree.read(path) or "").strip() == _ISOLATED:
            return read_cpus(tree, f"{folder}/cpuset.cpus.effective") or CPUSet(), f"/{path}"
    return None


def _read_balancing(tree: Tree, folders: tuple[str, ...]) -> tuple[CPUSet, str] | None:
    """Return the group's CPUs where no group balances them: one above that does balances those of its children, too."""
    paths = [path for folder in folders if tree.read(path := f"{folder}/cpuset.sched_load_balance") is not None]
    if not paths or any((tree.read(path) or "").strip() != _NOT_BALANCED for path in paths):
        return None
    cpus = first_file(tree, folders, "cpuset.effective_cpus", "cpuset.cpus")
    return None if cpus is None else (read_cpus(tree, cpus) or CPUSet(), f"/{paths[0]}")
