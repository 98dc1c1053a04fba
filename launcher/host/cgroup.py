"""The CPUs that this process may use, as its control group and its affinity tell it, and how exclusive they are.

The process's own groups are in /proc/self/cgroup, where they can be seen is in /proc/self/mountinfo (cgroups(7),
proc_pid_mountinfo(5), cgroup_namespaces(7)). The cpuset controller is in one hierarchy at a time: version 2 where that
has its files, else version 1. A group without the files has the CPUs of its nearest ancestor that has them.

| the group's path | the mount's root | what is read |
|---|---|---|
| `/kubepods/pod1/ctr` | `/` | the group below the mount point (no namespace) |
| `/kubepods/pod1/ctr` | `/kubepods/pod1/ctr` | the mount point (a container without a namespace) |
| `/` | `/` | the mount point (a container with a namespace) |
| `/` | `/../..` | the mount point, an ancestor: the names on the way down are hidden |
| `/../other` | `/` | nothing: the group is outside of what is mounted |
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.model import ONLINE, AllowedCPUs, CPUQuota, Host
from launcher.host.tree import Tree, lines, parse_integer, read_cpus, read_integer

AFFINITY = "sched_getaffinity"

GROUPS = "proc/self/cgroup"
_MOUNTS = "proc/self/mountinfo"
_STATUS = "proc/self/status"

_ESCAPE = re.compile(r"\\([0-7]{3})")
_ALLOWED = re.compile(r"^Cpus_allowed_list:(.*)$", re.MULTILINE)
_UP = ".."


class Mount(Struct, frozen=True, kw_only=True):
    """One line of mountinfo: which folder of the file system is seen where, its type and the file system's options."""

    root: str
    point: str
    filesystem: str
    options: frozenset[str]


def read_allowed_cpus(tree: Tree, affinity: CPUSet) -> AllowedCPUs:
    """Read the CPUs that this process may use; `affinity` is what `sched_getaffinity(0)` says.

    The control group and the affinity normally agree. Where they do not, the CPUs that are in both count, and a warning
    names both. Without a file the affinity counts. Raises HostError where a file is empty or holds no cpulist, and
    where nothing is left.
    """
    path = find_cpuset(tree)
    if path is None:
        return AllowedCPUs(cpus=_some(affinity, AFFINITY), source=AFFINITY)
    cpus = _some(read_cpus(tree, path) or CPUSet(), tree.where(path))
    if cpus == affinity:
        return AllowedCPUs(cpus=cpus, source=f"/{path}")
    both = cpus & affinity
    found = f"/{path} allows the CPUs {cpus}, {AFFINITY} {affinity or 'none'}"
    if not both:
        raise HostError(f"{found}; wanted at least one CPU that both allow")
    source = {cpus: f"/{path}", affinity: AFFINITY}.get(both, f"/{path} and {AFFINITY}")
    return AllowedCPUs(cpus=both, source=source, warnings=(f"{found}; the CPUs {both} are taken",))


def read_affinity(tree: Tree) -> CPUSet | None:
    """Return the affinity that /proc/self/status tells, None where it does not: how a capture keeps it.

    Unlike `sched_getaffinity` the file also names CPUs that are offline; they are left out.
    """
    match = _ALLOWED.search(tree.read(_STATUS) or "")
    if match is None:
        return None
    try:
        allowed = CPUSet.parse(match[1])
    except ValueError as error:
        raise HostError(f"{tree.where(_STATUS)}: Cpus_allowed_list: {error}") from error
    online = read_cpus(tree, ONLINE)
    return allowed if online is None else allowed & online


def check_allowed(allowed: AllowedCPUs, host: Host) -> None:
    """Raise HostError where the allowed CPUs are none, or are not all online on this host."""
    absent = _some(allowed.cpus, allowed.source) - host.online
    if absent:
        found = f"online {host.online}, offline {host.offline or 'none'}"
        raise HostError(f"{allowed.source}: the CPUs {absent} of {allowed.cpus} are not online on this host ({found})")


def find_cpuset(tree: Tree) -> str | None:
    """Return the path of the file that holds the CPUs of the process's cpuset, None where there is none."""
    return first_file(tree, group_folders(tree, ""), "cpuset.cpus.effective") or first_file(
        # cpuset.cpus is what was asked for; before Linux 3.17 there was nothing else.
        tree,
        group_folders(tree, "cpuset"),
        "cpuset.effective_cpus",
        "cpuset.cpus",
    )


def read_cpuset_partition(tree: Tree) -> str | None:
    """Return what cpuset.cpus.partition says of the process's group: "member", "root", "isolated", or "... invalid".

    None where there is no such file, as in version 1.
    """
    path = first_file(tree, group_folders(tree, ""), "cpuset.cpus.partition")
    return None if path is None else (tree.read(path) or "").strip()


def read_cpu_quota(tree: Tree) -> CPUQuota | None:
    """Return the tightest quota of CPU time on the process's group and its visible ancestors, None without one."""
    quotas = [_read_cpu_max(tree, folder) for folder in group_folders(tree, "")]
    quotas += [_read_cfs_quota(tree, folder) for folder in group_folders(tree, "cpu")]
    return min((quota for quota in quotas if quota is not None), key=lambda quota: quota.cpus, default=None)


def parse_mountinfo(text: str, where: str) -> tuple[Mount, ...]:
    """Read the text of /proc/self/mountinfo; a mount hides an earlier one at the same point.

    Raises HostError that names `where` and quotes the line.
    """
    mounts = (_parse_mount(line, where) for line in lines(text))
    return tuple({mount.point: mount for mount in mounts}.values())


def _some(cpus: CPUSet, where: str) -> CPUSet:
    if not cpus:
        raise HostError(f"{where}: no CPU; wanted a list of at least one")
    return cpus


def _parse_mount(line: str, where: str) -> Mount:
    before, separator, after = line.partition(" - ")
    fields, filesystem = before.split(" "), after.split(" ")
    if not separator or len(fields) < 6 or len(filesystem) < 3:
        raise HostError(f"{where}: {line[:80]!r} is not a line of mountinfo")
    return Mount(
        root=_unescape(fields[3]),
        point=_unescape(fields[4]),
        filesystem=filesystem[0],
        options=frozenset(filesystem[-1].split(",")),
    )


def _unescape(field: str) -> str:
    """Undo the kernel's octal escapes of blank, tab, newline and backslash."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), field)


def group_folders(tree: Tree, controller: str) -> tuple[str, ...]:
    """Return the folders of the process's group and its visible ancestors, nearest first.

    The controller names a hierarchy of version 1; the empty one stands for version 2, as it does in /proc/self/cgroup.
    """
    group = _read_group(tree, controller)
    if group is None:
        return ()
    mounts = parse_mountinfo(tree.read(_MOUNTS) or "", tree.where(_MOUNTS))
    return tuple(folder for mount in mounts if _holds(mount, controller) for folder in _chain(mount, group))


def _read_group(tree: Tree, controller: str) -> str | None:
    """Return the path of the process's group in the controller's hierarchy."""
    for line in lines(tree.read(GROUPS) or ""):
        fields = line.split(":", 2)
        if len(fields) != 3:
            raise HostError(f"{tree.where(GROUPS)}: {line[:80]!r} is not hierarchy:controllers:path")
        if controller in fields[1].split(","):
            return fields[2]
    return None


def _holds(mount: Mount, controller: str) -> bool:
    if not controller:
        return mount.filesystem == "cgroup2"
    return mount.filesystem == "cgroup" and controller in mount.options


def _chain(mount: Mount, group: str) -> tuple[str, ...]:
    """Return the folders from the group's own up to the mount point, as far as this mount shows them."""
    point = mount.point.strip("/")
    below = _below(_names(mount.root), _names(group))
    if below is None:
        return ()
    return tuple("/".join((point, *below[:depth])) for depth in range(len(below), -1, -1))


def _below(root: tuple[str, ...], group: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the names that lead from the mount's root to the group or as near as can be told; None if it is not below.

    In a namespace both are relative to the namespace's root: ".." leads above it, to folders whose names are hidden.
    """
    rest = group[len(root) :]
    if group[: len(root)] == root:
        return None if _UP in rest else rest
    return () if set(root) == {_UP} else None


def _names(path: str) -> tuple[str, ...]:
    return tuple(name for name in path.split("/") if name)


def first_file(tree: Tree, folders: Iterable[str], *names: str) -> str | None:
    paths = (f"{folder}/{name}" for folder in folders for name in names)
    return next((path for path in paths if tree.read(path) is not None), None)


def _read_cpu_max(tree: Tree, folder: str) -> CPUQuota | None:
    """Read version 2's "$MAX $PERIOD" in microseconds, where $MAX may be the word max."""
    path = f"{folder}/cpu.max"
    fields = (tree.read(path) or "max").split()
    if fields[:1] == ["max"]:
        return None
    if len(fields) != 2:
        raise HostError(f"{tree.where(path)}: {' '.join(fields)[:40]!r} is not a quota and a period")
    quota, period = (parse_integer(tree, path, field) for field in fields)
    return _quota(tree, path, quota, period)


def _read_cfs_quota(tree: Tree, folder: str) -> CPUQuota | None:
    """Read version 1's quota and period in microseconds; a quota of -1 is none."""
    path = f"{folder}/cpu.cfs_quota_us"
    quota, period = read_integer(tree, path), read_integer(tree, f"{folder}/cpu.cfs_period_us")
    if quota is None or quota < 0 or period is None:
        return None
    return _quota(tree, path, quota, period)


def _quota(tree: Tree, path: str, quota: int, period: int) -> CPUQuota:
    if quota <= 0 or period <= 0:
        raise HostError(f"{tree.where(path)}: a quota of {quota} in a period of {period} is not positive")
    return CPUQuota(cpus=quota / period, source=f"/{path}")
