"""The node is what its shape says, by its own kernel's word: CPUs, cores, NUMA nodes, memory, cgroup v2, /dev/kvm."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

import pytest

from hack.nodes.shapes import Shape, shape_named
from launcher.cpuset import CPUSet

_CPUS = Path("/sys/devices/system/cpu")
_NODES = Path("/sys/devices/system/node")
_CGROUP = Path("/sys/fs/cgroup")


@pytest.fixture(scope="module")
def shape() -> Shape:
    """Return the shape that this node was given (hack/node-init)."""
    return shape_named(os.environ["NODE_SHAPE"])


def _cpus(path: Path) -> frozenset[int]:
    return frozenset(CPUSet.parse(path.read_text().strip()))


def _online(shape: Shape, cpus: Iterable[int]) -> frozenset[int]:
    return frozenset(cpus) - shape.offline_cpus


def test_the_kernel_has_the_shapes_cpus_online(shape: Shape) -> None:
    assert (_cpus(_CPUS / "present"), _cpus(_CPUS / "online")) == (
        frozenset(range(shape.cpus)),
        _online(shape, range(shape.cpus)),
    )


def test_each_core_has_the_shapes_threads(shape: Shape) -> None:
    online = sorted(_online(shape, range(shape.cpus)))
    seen = {cpu: _cpus(_CPUS / f"cpu{cpu}/topology/thread_siblings_list") for cpu in online}
    assert seen == {cpu: _online(shape, shape.siblings(cpu)) for cpu in online}


def test_there_are_as_many_sockets_as_the_shape_has(shape: Shape) -> None:
    packages = {file.read_text() for file in _CPUS.glob("cpu[0-9]*/topology/physical_package_id")}
    assert len(packages) == shape.sockets


def test_each_numa_node_has_its_cpus(shape: Shape) -> None:
    seen = {int(folder.name.removeprefix("node")): _cpus(folder / "cpulist") for folder in _NODES.glob("node[0-9]*")}
    assert seen == {node: _online(shape, shape.cpus_of_node(node)) for node in range(shape.nodes)}


def test_the_distances_are_the_shapes(shape: Shape) -> None:
    nodes = range(shape.nodes)
    seen = tuple(tuple(map(int, (_NODES / f"node{node}/distance").read_text().split())) for node in nodes)
    assert seen == tuple(tuple(shape.distance(one, other) for other in nodes) for one in nodes)


def test_each_numa_node_has_its_memory_but_for_what_the_kernel_keeps(shape: Shape) -> None:
    found = [_node_memory_mib(node) / shape.memory_mib_per_node for node in range(shape.nodes)]
    assert [0.9 < share <= 1 for share in found] == [True] * shape.nodes, found


def _node_memory_mib(node: int) -> int:
    # The first line is "Node 0 MemTotal:", a number, and "kB".
    return int((_NODES / f"node{node}/meminfo").read_text().split()[3]) // 1024


def test_each_numa_node_has_its_huge_pages_free(shape: Shape) -> None:
    folder = f"hugepages/hugepages-{shape.huge_page_mib * 1024}kB"
    pages = [int((_NODES / f"node{node}" / folder / "free_hugepages").read_text()) for node in range(shape.nodes)]
    assert pages == [shape.huge_pages_per_node] * shape.nodes


def test_cgroup_v2_hands_its_controllers_down() -> None:
    handed_down = (_CGROUP / "cgroup.subtree_control").read_text().split()
    assert {"cpuset", "cpu", "memory", "pids", "hugetlb"} <= set(handed_down)


def test_the_tests_are_in_a_group_of_their_own() -> None:
    assert Path("/proc/self/cgroup").read_text() == "0::/session\n"


def test_kvm_is_there_where_the_shape_loads_it(shape: Shape) -> None:
    kvm = Path("/dev/kvm")
    has_kvm = kvm.exists() and stat.S_ISCHR(kvm.stat().st_mode)
    assert has_kvm == ("kvm-amd" in shape.modules)


def test_there_is_no_network_but_loopback() -> None:
    assert [interface.name for interface in Path("/sys/class/net").iterdir()] == ["lo"]
