"""The hosts of tests/hosts that nobody here owns, written from what is known of such machines.

`hack/make-hosts` writes them; a test compares what lies there with what is made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tests.host.shapes import Machine, Memory, Thread, adjacent, dealt, grid, second_round, written

HOSTS = Path(__file__).parents[1] / "hosts"

_GIB = 1 << 20  # in kilobytes, as sysfs counts
_CPU = "sys/devices/system/cpu"
_GROUP = "sys/fs/cgroup"
_POD = "kubepods.slice/kubepods-pod1.slice/cri-containerd-1.scope"

_ONE_NODE = {0: Memory(kilobytes=16 * _GIB, distances="10")}
_TWO_NODES = {
    0: Memory(kilobytes=64 * _GIB, distances="10 21"),
    1: Memory(kilobytes=64 * _GIB, distances="21 10"),
}


def _dealt() -> Machine:
    """Two sockets that get their CPU numbers in turn, second threads last."""
    threads = grid(sockets=2, nodes=1, caches=1, cores=4, threads=2, number=dealt(8, 2))
    return Machine(threads=threads, nodes=_TWO_NODES)


def _cpuset_on_node_1() -> Machine:
    """A container without a cgroup namespace, whose mount shows its own group only, on CPUs of the second node."""
    threads = grid(sockets=2, nodes=1, caches=1, cores=4, threads=2, number=second_round(8))
    files = {
        "proc/self/cgroup": f"0::/{_POD}",
        "proc/self/mountinfo": rf"31 23 0:27 /{_POD} /{_GROUP} ro,nosuid - cgroup2 cgroup rw,nsdelegate",
        f"{_GROUP}/cpuset.cpus.effective": "5-7,13-15",
        f"{_GROUP}/cpuset.cpus.partition": "member",
        f"{_GROUP}/cpu.max": "max 100000",
    }
    return Machine(threads=threads, nodes=_TWO_NODES, affinity="5-7,13-15", extra=files)


def _ccx() -> Machine:
    """An AMD EPYC: four core complexes, each with a level 3 cache of its own, on each of two nodes."""
    threads = grid(sockets=1, nodes=2, caches=4, cores=2, threads=2, number=second_round(16))
    huge_pages = ((2048, 1024, 512), (_GIB, 8, 8))
    nodes = {
        0: Memory(kilobytes=32 * _GIB, distances="10 12", huge_pages=huge_pages),
        1: Memory(kilobytes=32 * _GIB, distances="12 10", huge_pages=huge_pages),
    }
    return Machine(threads=threads, nodes=nodes)


def _huge() -> Machine:
    """2,048 CPUs on 8 nodes: two sockets of four nodes of eight caches of sixteen cores."""
    threads = grid(sockets=2, nodes=4, caches=8, cores=16, threads=2, number=second_round(1024))
    nodes = {node: Memory(kilobytes=256 * _GIB, distances=_huge_distances(node)) for node in range(8)}
    return Machine(threads=threads, nodes=nodes)


def _huge_distances(node: int) -> str:
    return " ".join("10" if other == node else "12" if other // 4 == node // 4 else "32" for other in range(8))


def _power() -> Machine:
    """A POWER9: eight threads a core, CPUs and core ids by eights, nodes 0 and 8, 64 kB pages, no dies."""
    threads = grid(sockets=2, nodes=1, caches=2, cores=2, threads=8, number=adjacent(8))
    on_chips = (
        replace(thread, core_id=8 * thread.core, socket=8 * thread.socket, node=8 * thread.socket, die=None)
        for thread in threads
    )
    huge_pages = ((2048, 0, 0), (_GIB, 0, 0))
    nodes = {
        0: Memory(kilobytes=128 * _GIB, distances="10 40", huge_pages=huge_pages),
        8: Memory(kilobytes=128 * _GIB, distances="40 10", huge_pages=huge_pages),
    }
    return Machine(threads=tuple(on_chips), nodes=nodes, arch="ppc64le", page_kilobytes=64)


def _ampere() -> Machine:
    """An Ampere Altra: no SMT, ids that are offsets into a firmware table, no die, and no cache that cores share."""
    threads = tuple(
        Thread(cpu=cpu, core=cpu, core_id=256 + 3 * cpu, socket=36, node=0, cache=cpu, die=None) for cpu in range(80)
    )
    huge_pages = ((64, 0, 0), (2048, 0, 0), (32768, 0, 0), (_GIB, 0, 0))
    nodes = {0: Memory(kilobytes=128 * _GIB, distances="10", huge_pages=huge_pages)}
    return Machine(threads=threads, nodes=nodes, arch="aarch64")


def _hybrid() -> Machine:
    """An Intel hybrid: six cores of two threads and eight of one around a level 3 cache, two more away from it."""
    fast = (Thread(cpu=cpu, core=cpu // 2, core_id=cpu // 2 * 4, socket=0, node=0, cache=0) for cpu in range(12))
    small = (Thread(cpu=cpu, core=cpu, core_id=cpu + 12, socket=0, node=0, cache=0) for cpu in range(12, 20))
    lowest = (Thread(cpu=cpu, core=cpu, core_id=cpu + 12, socket=0, node=0, cache=1) for cpu in range(20, 22))
    return Machine(threads=(*fast, *small, *lowest), nodes=_ONE_NODE)


def _nodeless() -> Machine:
    """Half of the CPUs are in no node, as on machines whose firmware forgets some."""
    threads = grid(sockets=1, nodes=1, caches=1, cores=8, threads=1, number=adjacent(1))
    return Machine(
        threads=tuple(replace(thread, node=None if thread.cpu >= 4 else 0) for thread in threads), nodes=_ONE_NODE
    )


def _without_node_folder() -> Machine:
    """A kernel without NUMA: memory and huge pages are the machine's."""
    threads = grid(sockets=1, nodes=1, caches=1, cores=2, threads=2, number=adjacent(2))
    files = {
        "proc/meminfo": "MemTotal: 8388608 kB",
        "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "64",
        "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages": "60",
    }
    return Machine(threads=threads, nodes={}, extra=files)


def _sparse() -> Machine:
    """CPUs 0, 2, 5 and 9 and nodes 1 and 3 are all there is; empty slots count as offline, CPU 4 really is."""
    threads = tuple(
        Thread(cpu=cpu, core=cpu, core_id=cpu, socket=cpu // 4, node=1 if cpu < 4 else 3, cache=cpu // 4)
        for cpu in (0, 2, 5, 9)
    )
    nodes = {
        1: Memory(kilobytes=4 * _GIB, distances="10 20"),
        3: Memory(kilobytes=4 * _GIB, distances="20 10"),
    }
    files = {f"{_CPU}/offline": "1,3-4,6-8,10-15", f"{_CPU}/present": "0,2,4-5,9"}
    return Machine(threads=threads, nodes=nodes, extra=files)


def _sandbox() -> Machine:
    """A sandbox that shows which CPUs are online and nothing else, neither of them nor of control groups."""
    names = ("core_cpus_list", "core_id", "die_id", "package_cpus_list", "physical_package_id")
    hidden = {f"{_CPU}/cpu{cpu}/topology/{name}": None for cpu in range(4) for name in names}
    threads = tuple(Thread(cpu=cpu, core=cpu, core_id=cpu, socket=0, node=0, cache=None) for cpu in range(4))
    return Machine(threads=threads, nodes={}, affinity="0-3", extra=hidden)


def _old_guest() -> Machine:
    """A guest of an old kernel under Xen: older names of files, no dies, no caches, core_id 0 everywhere."""
    threads = tuple(Thread(cpu=cpu, core=cpu, core_id=0, socket=0, node=0, cache=None, die=None) for cpu in range(4))
    renamed = {f"{_CPU}/cpu{cpu}/topology/thread_siblings_list": str(cpu) for cpu in range(4)}
    hidden = {f"{_CPU}/cpu{cpu}/topology/core_cpus_list": None for cpu in range(4)}
    absent = {f"{_CPU}/present": None, "proc/sys/kernel/arch": None}
    groups = {
        "proc/self/cgroup": r"4:cpuset:/machine/guest\n3:cpu,cpuacct:/machine/guest\n1:name=systemd:/",
        "proc/self/mountinfo": rf"30 25 0:26 / /{_GROUP}/cpuset rw shared:9 - cgroup cgroup rw,cpuset",
        f"{_GROUP}/cpuset/machine/guest/cpuset.cpus": "1-3",
    }
    return Machine(threads=threads, nodes=_ONE_NODE, affinity="2-3", extra={**renamed, **hidden, **absent, **groups})


MACHINES: Mapping[str, Machine] = {
    "x86-2s2n8c2t-dealt": _dealt(),
    "x86-2s2n8c2t-cpuset-node1": _cpuset_on_node_1(),
    "x86-1s2n8l16c2t-ccx": _ccx(),
    "x86-2s8n64l1024c2t": _huge(),
    "ppc64le-2s2n4l8c8t": _power(),
    "aarch64-1s1n80c1t": _ampere(),
    "x86-1s1n16c-hybrid": _hybrid(),
    "x86-1s1n8c1t-nodeless": _nodeless(),
    "x86-1s0n2c2t": _without_node_folder(),
    "x86-2s2n4c1t-sparse": _sparse(),
    "x86-4cpus-sandbox": _sandbox(),
    "x86-1s1n4c1t-xen": _old_guest(),
}


def write_hosts(folder: Path) -> None:
    """Write the captures of all these machines into a folder."""
    for name, machine in MACHINES.items():
        (folder / f"{name}.host").write_text(written(machine))


if __name__ == "__main__":
    write_hosts(HOSTS)
