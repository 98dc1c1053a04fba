"""What each host of tests/hosts is, said by hand from how the machine was made; cpulists stand for sets of CPUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

GIB = 1 << 20  # in kilobytes
AFFINITY = "sched_getaffinity"

# What a kernel with 4 kB pages has of huge pages where nobody asked for any: sizes in kB, total, free.
NONE_OF_TWO_SIZES = ((2048, 0, 0), (GIB, 0, 0))
NONE_OF_FOUR_SIZES = ((64, 0, 0), (2048, 0, 0), (32768, 0, 0), (GIB, 0, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedNode:
    """A node's memory in kilobytes, distances to all nodes in their order, and huge pages."""

    kilobytes: int
    distances: str = "10"
    huge_pages: tuple[tuple[int, int, int], ...] = NONE_OF_TWO_SIZES


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A host: the CPUs of each core, die and cache in their order, of each socket and node by number."""

    cores: str
    dies: str
    sockets: Mapping[int, str]
    nodes: Mapping[int, str]
    caches: str
    memory: Mapping[int, ExpectedNode]
    allowed: str
    cache_level: int = 3
    source: str = AFFINITY
    offline: str = ""
    arch: str = "x86_64"
    page_bytes: int = 4096
    quota: tuple[float, str] | None = None
    partition: str | None = None
    warnings: tuple[str, ...] = ()


_SMALL = ((2048, 0, 0),)
_ONE_NODE = {0: ExpectedNode(kilobytes=16 * GIB, huge_pages=_SMALL)}
_TWO_NODES = {
    0: ExpectedNode(kilobytes=64 * GIB, distances="10 21", huge_pages=_SMALL),
    1: ExpectedNode(kilobytes=64 * GIB, distances="21 10", huge_pages=_SMALL),
}
_RESERVED = ((2048, 1024, 512), (GIB, 8, 8))

# Four cores of two threads, as in the guests in which control groups were captured.
_FOUR_CORES = Expected(
    cores="0-1 2-3 4-5 6-7",
    dies="0-7",
    sockets={0: "0-7"},
    nodes={0: "0-7"},
    caches="0-7",
    memory={0: ExpectedNode(kilobytes=993904)},
    allowed="0-7",
)

CAPTURED: Mapping[str, Expected] = {
    "aarch64-2s2n8c1t": Expected(
        arch="aarch64",
        cores="0 1 2 3 4 5 6 7",
        dies="0-3 4-7",
        sockets={0: "0-3", 1: "4-7"},
        nodes={0: "0-3", 1: "4-7"},
        caches="0-3 4-7",
        cache_level=0,
        memory={
            0: ExpectedNode(kilobytes=491992, distances="10 20", huge_pages=NONE_OF_FOUR_SIZES),
            1: ExpectedNode(kilobytes=513416, distances="20 10", huge_pages=NONE_OF_FOUR_SIZES),
        },
        allowed="0-7",
    ),
    "ppc64le-1s1n4c1t": Expected(
        arch="ppc64le",
        page_bytes=65536,
        cores="0 1 2 3",
        dies="0-3",
        sockets={0: "0-3"},
        nodes={0: "0-3"},
        caches="0-3",
        cache_level=0,
        memory={0: ExpectedNode(kilobytes=2034624)},
        allowed="0-3",
    ),
    "x86-1s1n2c1t-cgroup-hybrid": Expected(
        cores="0 1",
        dies="0-1",
        sockets={0: "0-1"},
        nodes={0: "0-1"},
        caches="0-1",
        memory={0: ExpectedNode(kilobytes=5597396)},
        allowed="0-1",
        source="/sys/fs/cgroup/cpuset/cpuset.effective_cpus",
    ),
    "x86-1s1n2d8c2t": Expected(
        cores="0-1 2-3 4-5 6-7 8-9 10-11 12-13 14-15",
        dies="0-7 8-15",
        sockets={0: "0-15"},
        nodes={0: "0-15"},
        caches="0-7 8-15",
        memory={0: ExpectedNode(kilobytes=991948)},
        allowed="0-15",
    ),
    "x86-1s1n4c2t-cgroup1": replace(
        _FOUR_CORES,
        allowed="2-5",
        source="/sys/fs/cgroup/cpuset/kubepods/pod1/ctr/cpuset.effective_cpus",
        quota=(3.5, "/sys/fs/cgroup/cpu,cpuacct/kubepods/pod1/cpu.cfs_quota_us"),
    ),
    "x86-1s1n4c2t-cgroup1-container": replace(
        _FOUR_CORES, allowed="2-5", source="/sys/fs/cgroup/cpuset/cpuset.effective_cpus"
    ),
    "x86-1s1n4c2t-cgroup2": replace(
        _FOUR_CORES,
        allowed="4-7",
        source="/sys/fs/cgroup/kubepods/pod1/ctr/cpuset.cpus.effective",
        quota=(4.0, "/sys/fs/cgroup/kubepods/pod1/cpu.max"),
        partition="member",
    ),
    "x86-1s1n4c2t-cgroup2-hidden": replace(
        _FOUR_CORES,
        allowed="4-7",
        warnings=(
            "/sys/fs/cgroup/cpuset.cpus.effective allows the CPUs 0-7, sched_getaffinity 4-7; the CPUs 4-7 are taken",
        ),
    ),
    "x86-1s1n4c2t-cgroup2-namespace": replace(
        _FOUR_CORES,
        allowed="3,5-7",
        source="/sys/fs/cgroup/cpuset.cpus.effective",
        quota=(4.0, "/sys/fs/cgroup/cpu.max"),
        partition="member",
    ),
    "x86-1s1n4c2t-cgroup2-partition": replace(
        _FOUR_CORES,
        cores="0-1 2-3 4 6-7",
        dies="0-4,6-7",
        sockets={0: "0-4,6-7"},
        nodes={0: "0-4,6-7"},
        caches="0-4,6-7",
        offline="5",
        allowed="2-4",
        source="/sys/fs/cgroup/vm/cpuset.cpus.effective",
        quota=(1.5, "/sys/fs/cgroup/vm/cpu.max"),
        partition="isolated",
    ),
    "x86-1s1n4c2t-smtoff": replace(
        _FOUR_CORES,
        cores="0 2 4 6",
        dies="0,2,4,6",
        sockets={0: "0,2,4,6"},
        nodes={0: "0,2,4,6"},
        caches="0,2,4,6",
        offline="1,3,5,7",
        allowed="0,2,4,6",
    ),
    "x86-2s1n2l8c2t": Expected(
        cores="0-1 2-3 4-5 6-7 8-9 10-11 12-13 14-15",
        dies="0-7 8-15",
        sockets={0: "0-7", 1: "8-15"},
        nodes={0: "0-15"},
        caches="0-7 8-15",
        memory={0: ExpectedNode(kilobytes=991948)},
        allowed="0-15",
    ),
    "x86-2s2n8c2t-offline3": Expected(
        cores="0-1 2 4-5 6-7 8-9 10-11 12-13 14-15",
        dies="0-2,4-7 8-15",
        sockets={0: "0-2,4-7", 1: "8-15"},
        nodes={0: "0-2,4-7", 1: "8-15"},
        caches="0-2,4-7 8-15",
        memory={
            0: ExpectedNode(kilobytes=512928, distances="10 21"),
            1: ExpectedNode(kilobytes=480380, distances="21 10", huge_pages=((2048, 16, 16), (GIB, 0, 0))),
        },
        offline="3",
        allowed="0-2,4-15",
    ),
    "x86-2s3n4c1t-memory-node": Expected(
        cores="0 1 2 3",
        dies="0-1 2-3",
        sockets={0: "0-1", 1: "2-3"},
        nodes={0: "0-1", 1: "2-3"},
        caches="0-1 2-3",
        memory={
            0: ExpectedNode(kilobytes=514392, distances="10 21 17"),
            1: ExpectedNode(kilobytes=515432, distances="21 10 28"),
            2: ExpectedNode(kilobytes=482336, distances="17 28 10"),
        },
        allowed="0-3",
    ),
    "x86-2s4n8c1t-snc": Expected(
        cores="0 1 2 3 4 5 6 7",
        dies="0-3 4-7",
        sockets={0: "0-3", 1: "4-7"},
        nodes={0: "0-1", 1: "2-3", 2: "4-5", 3: "6-7"},
        caches="0-3 4-7",
        memory={
            0: ExpectedNode(kilobytes=514392, distances="10 11 21 21"),
            1: ExpectedNode(kilobytes=515432, distances="11 10 21 21", huge_pages=((2048, 8, 8), (GIB, 0, 0))),
            2: ExpectedNode(kilobytes=515432, distances="21 21 10 11", huge_pages=((2048, 16, 16), (GIB, 0, 0))),
            3: ExpectedNode(kilobytes=481848, distances="21 21 11 10", huge_pages=((2048, 24, 24), (GIB, 0, 0))),
        },
        allowed="0-7",
    ),
}

WRITTEN: Mapping[str, Expected] = {
    "aarch64-1s1n80c1t": Expected(
        arch="aarch64",
        cores=" ".join(map(str, range(80))),
        dies="0-79",
        sockets={36: "0-79"},
        nodes={0: "0-79"},
        caches=" ".join(map(str, range(80))),
        memory={0: ExpectedNode(kilobytes=128 * GIB, huge_pages=NONE_OF_FOUR_SIZES)},
        allowed="0-79",
    ),
    "ppc64le-2s2n4l8c8t": Expected(
        arch="ppc64le",
        page_bytes=65536,
        cores="0-7 8-15 16-23 24-31 32-39 40-47 48-55 56-63",
        dies="0-31 32-63",
        sockets={0: "0-31", 8: "32-63"},
        nodes={0: "0-31", 8: "32-63"},
        caches="0-15 16-31 32-47 48-63",
        memory={
            0: ExpectedNode(kilobytes=128 * GIB, distances="10 40"),
            8: ExpectedNode(kilobytes=128 * GIB, distances="40 10"),
        },
        allowed="0-63",
    ),
    "x86-1s0n2c2t": Expected(
        cores="0-1 2-3",
        dies="0-3",
        sockets={0: "0-3"},
        nodes={0: "0-3"},
        caches="0-3",
        memory={0: ExpectedNode(kilobytes=8 * GIB, huge_pages=((2048, 64, 60),))},
        allowed="0-3",
    ),
    "x86-1s1n16c-hybrid": Expected(
        cores="0-1 2-3 4-5 6-7 8-9 10-11 12 13 14 15 16 17 18 19 20 21",
        dies="0-21",
        sockets={0: "0-21"},
        nodes={0: "0-21"},
        caches="0-19 20-21",
        memory=_ONE_NODE,
        allowed="0-21",
    ),
    "x86-1s1n4c1t-xen": Expected(
        cores="0 1 2 3",
        dies="0-3",
        sockets={0: "0-3"},
        nodes={0: "0-3"},
        caches="0-3",
        cache_level=0,
        memory=_ONE_NODE,
        allowed="2-3",
        warnings=(
            (
                "/sys/fs/cgroup/cpuset/machine/guest/cpuset.cpus allows the CPUs 1-3, sched_getaffinity 2-3; "
                "the CPUs 2-3 are taken"
            ),
        ),
    ),
    "x86-1s1n8c1t-nodeless": Expected(
        cores="0 1 2 3 4 5 6 7",
        dies="0-7",
        sockets={0: "0-7"},
        nodes={0: "0-3", -1: "4-7"},
        caches="0-7",
        memory=_ONE_NODE,
        allowed="0-7",
        warnings=("CPUs 4-7 are in no NUMA node",),
    ),
    "x86-1s2n8l16c2t-ccx": Expected(
        cores="0,16 1,17 2,18 3,19 4,20 5,21 6,22 7,23 8,24 9,25 10,26 11,27 12,28 13,29 14,30 15,31",
        dies="0-31",
        sockets={0: "0-31"},
        nodes={0: "0-7,16-23", 1: "8-15,24-31"},
        caches="0-1,16-17 2-3,18-19 4-5,20-21 6-7,22-23 8-9,24-25 10-11,26-27 12-13,28-29 14-15,30-31",
        memory={
            0: ExpectedNode(kilobytes=32 * GIB, distances="10 12", huge_pages=_RESERVED),
            1: ExpectedNode(kilobytes=32 * GIB, distances="12 10", huge_pages=_RESERVED),
        },
        allowed="0-31",
    ),
    "x86-2s2n4c1t-sparse": Expected(
        cores="0 2 5 9",
        dies="0,2 5 9",
        sockets={0: "0,2", 1: "5", 2: "9"},
        nodes={1: "0,2", 3: "5,9"},
        caches="0,2 5 9",
        memory={
            1: ExpectedNode(kilobytes=4 * GIB, distances="10 20", huge_pages=_SMALL),
            3: ExpectedNode(kilobytes=4 * GIB, distances="20 10", huge_pages=_SMALL),
        },
        offline="4",
        allowed="0,2,5,9",
    ),
    "x86-2s2n8c2t-cpuset-node1": Expected(
        cores="0,8 1,9 2,10 3,11 4,12 5,13 6,14 7,15",
        dies="0-3,8-11 4-7,12-15",
        sockets={0: "0-3,8-11", 1: "4-7,12-15"},
        nodes={0: "0-3,8-11", 1: "4-7,12-15"},
        caches="0-3,8-11 4-7,12-15",
        memory=_TWO_NODES,
        allowed="5-7,13-15",
        source="/sys/fs/cgroup/cpuset.cpus.effective",
        partition="member",
    ),
    "x86-2s2n8c2t-dealt": Expected(
        cores="0,8 1,9 2,10 3,11 4,12 5,13 6,14 7,15",
        dies="0,2,4,6,8,10,12,14 1,3,5,7,9,11,13,15",
        sockets={0: "0,2,4,6,8,10,12,14", 1: "1,3,5,7,9,11,13,15"},
        nodes={0: "0,2,4,6,8,10,12,14", 1: "1,3,5,7,9,11,13,15"},
        caches="0,2,4,6,8,10,12,14 1,3,5,7,9,11,13,15",
        memory=_TWO_NODES,
        allowed="0-15",
    ),
    "x86-2s8n64l1024c2t": Expected(
        cores=" ".join(f"{core},{core + 1024}" for core in range(1024)),
        dies="0-511,1024-1535 512-1023,1536-2047",
        sockets={0: "0-511,1024-1535", 1: "512-1023,1536-2047"},
        nodes={node: f"{128 * node}-{128 * node + 127},{128 * node + 1024}-{128 * node + 1151}" for node in range(8)},
        caches=" ".join(f"{first}-{first + 15},{first + 1024}-{first + 1039}" for first in range(0, 1024, 16)),
        memory={
            **{
                node: ExpectedNode(kilobytes=256 * GIB, distances=distances, huge_pages=_SMALL)
                for node, distances in enumerate(
                    (
                        "10 12 12 12 32 32 32 32",
                        "12 10 12 12 32 32 32 32",
                        "12 12 10 12 32 32 32 32",
                        "12 12 12 10 32 32 32 32",
                        "32 32 32 32 10 12 12 12",
                        "32 32 32 32 12 10 12 12",
                        "32 32 32 32 12 12 10 12",
                        "32 32 32 32 12 12 12 10",
                    )
                )
            }
        },
        allowed="0-2047",
    ),
    "x86-4cpus-sandbox": Expected(
        cores="0 1 2 3",
        dies="0-3",
        sockets={0: "0-3"},
        nodes={0: "0-3"},
        caches="0-3",
        cache_level=0,
        memory={0: ExpectedNode(kilobytes=0, huge_pages=())},
        allowed="0-3",
        warnings=(
            (
                "x86-4cpus-sandbox: /sys/devices/system/cpu: no CPU has topology files; "
                "each is taken for a core of its own"
            ),
            "x86-4cpus-sandbox: /proc/meminfo: says no MemTotal; node 0 is taken to have no memory",
        ),
    ),
}

EXPECTED = {**CAPTURED, **WRITTEN}
