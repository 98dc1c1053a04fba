"""What the node's kernel itself says: threads and where they ran last, the memory of a process, cpusets, cores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

PROC = Path("/proc")
CPUS = Path("/sys/devices/system/cpu")
NODES = Path("/sys/devices/system/node")

# sched(7): the policies' numbers, as in field 41 of /proc/<pid>/stat.
SCHED_OTHER, SCHED_FIFO = 0, 1
# include/linux/sched.h: the flag of a thread of the kernel's own, in field 9.
_PF_KTHREAD = 0x00200000


class Thread(Struct, frozen=True, kw_only=True):
    """One thread as /proc shows it; `cpu` is the one on which it ran last, `switches` how often it left one.

    `tid_inside` is its id in the innermost namespace of processes that it is in. One that does not run, or wait for its
    turn, has the CPU that it had when it went to sleep, whatever it may use since.
    """

    pid: int
    tid: int
    tid_inside: int
    name: str
    allowed: frozenset[int]
    cpu: int
    policy: int
    priority: int
    switches: int
    is_kernels: bool
    is_running: bool


class Mapping(Struct, frozen=True, kw_only=True):
    """One mapping of a process's memory: its policy, its file, "heap" or "stack", its bytes on each node (numa_maps).

    Pages are the process's own where no file that others read, nor the kernel, has them.
    """

    policy: str
    file: str
    page_bytes: int
    bytes_on: dict[int, int]
    is_own: bool


def cpus_in(text: str) -> frozenset[int]:
    """Read the kernel's cpulist format."""
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def read_cpus(path: Path) -> frozenset[int]:
    """Return the CPUs, or the nodes, that a file of the kernel lists."""
    return cpus_in(path.read_text())


def siblings_of(cpu: int) -> frozenset[int]:
    """Return the CPUs that are threads of this CPU's core, itself among them."""
    return read_cpus(CPUS / f"cpu{cpu}/topology/thread_siblings_list")


def online_cpus() -> frozenset[int]:
    """Return the CPUs that are online."""
    return read_cpus(CPUS / "online")


def node_of(cpu: int) -> int:
    """Return the NUMA node next to this CPU."""
    (node,) = (int(path.name[4:]) for path in NODES.glob("node[0-9]*") if cpu in read_cpus(path / "cpulist"))
    return node


def threads_of(pid: int) -> tuple[Thread, ...]:
    """Return the threads of a process, as far as they are still there."""
    return tuple(_threads(PROC / str(pid) / "task"))


def threads_of_node() -> tuple[Thread, ...]:
    """Return all threads of the node but the kernel's own."""
    found = (thread for path in PROC.glob("[0-9]*") for thread in _threads(path / "task"))
    return tuple(thread for thread in found if not thread.is_kernels)


def _threads(folder: Path) -> Iterator[Thread]:
    try:
        entries = sorted(folder.iterdir(), key=lambda path: int(path.name))
    except (FileNotFoundError, ProcessLookupError):
        return
    for entry in entries:
        try:
            yield _read_thread(entry)
        except (FileNotFoundError, ProcessLookupError):
            continue


def _read_thread(entry: Path) -> Thread:
    # The name is in parentheses and may hold any; the third field comes after the last (proc_pid_stat(5)).
    before, _, after = (entry / "stat").read_text().rpartition(") ")
    fields = ["", "", *after.split()]
    status = _fields(entry / "status")
    return Thread(
        pid=int(status["Tgid"]),
        tid=int(entry.name),
        tid_inside=int(status["NSpid"].split()[-1]),
        name=before.partition("(")[2],
        allowed=cpus_in(status["Cpus_allowed_list"]),
        cpu=int(fields[38]),
        policy=int(fields[40]),
        priority=int(fields[39]),
        switches=int(status["voluntary_ctxt_switches"]) + int(status["nonvoluntary_ctxt_switches"]),
        is_kernels=bool(int(fields[8]) & _PF_KTHREAD),
        is_running=fields[2] == "R",
    )


def _fields(path: Path) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in path.read_text().splitlines() if ":\t" in line)


def status_of(pid: int) -> dict[str, str]:
    """Return /proc/<pid>/status by its names."""
    return _fields(PROC / str(pid) / "status")


def arguments_of(pid: int) -> list[str]:
    """Return the command line of a process; it is empty where the process has ended meanwhile."""
    try:
        return (PROC / str(pid) / "cmdline").read_text(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def memory_of(pid: int) -> tuple[Mapping, ...]:
    """Return the mappings of a process that have any page, in the order of their addresses."""
    lines = (PROC / str(pid) / "numa_maps").read_text().splitlines()
    mappings = (_read_mapping(line) for line in lines)
    return tuple(mapping for mapping in mappings if mapping.bytes_on)


def _read_mapping(line: str) -> Mapping:
    """Read one line of numa_maps (numa(7)): `7f… bind:0 file=/memfd:… huge anon=2 N0=64 kernelpagesize_kB=2048`."""
    _address, policy, *words = line.split()
    values = dict(word.split("=", 1) for word in words if "=" in word)
    page_bytes = int(values.get("kernelpagesize_kB", "4")) * 1024
    pages = {int(name[1:]): int(count) for name, count in values.items() if name[0] == "N" and name[1:].isdigit()}
    return Mapping(
        policy=policy,
        file=values.get("file") or "".join(word for word in words if word in ("heap", "stack")),
        page_bytes=page_bytes,
        bytes_on={node: count * page_bytes for node, count in pages.items()},
        # A stack is begun by execve; a page of one was seen on a node that its cpuset does not have.
        is_own="anon" in values and "mapped" not in values and "stack" not in words,
    )
