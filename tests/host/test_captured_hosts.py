"""Every host of tests/hosts, read whole and compared with what is known of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.cpuset import CPUSet
from launcher.host.capture import CaptureTree, capture, parse_capture
from launcher.host.cgroup import check_allowed, read_affinity, read_allowed_cpus, read_cpu_quota, read_cpuset_partition
from launcher.host.model import CPU, Host, HugePages, Node
from launcher.host.sysfs import read_host
from tests.host.expected import EXPECTED, WRITTEN, Expected
from tests.host.written import MACHINES, write_hosts

HOSTS = Path(__file__).parents[1] / "hosts"

every_host = pytest.mark.parametrize("name", EXPECTED)


def tree_of(name: str) -> CaptureTree:
    return parse_capture((HOSTS / f"{name}.host").read_text(), name)


def affinity_of(name: str) -> CPUSet:
    affinity = read_affinity(tree_of(name))
    assert affinity is not None
    return affinity


def by_cpu(groups: dict[int, str]) -> dict[int, int]:
    return {cpu: number for number, cpus in groups.items() for cpu in CPUSet.parse(cpus)}


def expected_host(expected: Expected, warnings: tuple[str, ...]) -> Host:
    cores, dies, caches = (
        by_cpu(dict(enumerate(groups.split()))) for groups in (expected.cores, expected.dies, expected.caches)
    )
    sockets, nodes = by_cpu(dict(expected.sockets)), by_cpu(dict(expected.nodes))
    return Host(
        cpus=tuple(
            CPU(
                cpu=cpu,
                core=cores[cpu],
                die=dies[cpu],
                socket=sockets[cpu],
                node=nodes[cpu],
                cache=caches[cpu],
                cache_level=expected.cache_level,
            )
            for cpu in sorted(cores)
        ),
        nodes=tuple(expected_node(expected, node) for node in expected.memory),
        offline=CPUSet.parse(expected.offline),
        arch=expected.arch,
        page_bytes=expected.page_bytes,
        warnings=warnings,
    )


def expected_node(expected: Expected, node: int) -> Node:
    memory = expected.memory[node]
    distances = map(int, memory.distances.split())
    return Node(
        node=node,
        memory_bytes=memory.kilobytes << 10,
        distances=tuple(zip(expected.memory, distances, strict=True)),
        huge_pages=tuple(
            HugePages(size_bytes=size << 10, total=total, free=free) for size, total, free in memory.huge_pages
        ),
    )


@every_host
def test_a_host_is_read_whole(name: str) -> None:
    host, allowed = read_host(tree_of(name), "none"), read_allowed_cpus(tree_of(name), affinity_of(name))
    expected = EXPECTED[name]
    assert host == expected_host(expected, host.warnings)
    assert (str(allowed.cpus), allowed.source) == (expected.allowed, expected.source)
    assert host.warnings + allowed.warnings == expected.warnings


@every_host
def test_the_quota_and_the_partition_of_a_host_are_read(name: str) -> None:
    quota = read_cpu_quota(tree_of(name))
    assert (None if quota is None else (quota.cpus, quota.source)) == EXPECTED[name].quota
    assert read_cpuset_partition(tree_of(name)) == EXPECTED[name].partition


@every_host
def test_the_allowed_cpus_of_a_host_are_online_there(name: str) -> None:
    check_allowed(read_allowed_cpus(tree_of(name), affinity_of(name)), read_host(tree_of(name), "none"))


@every_host
def test_capturing_a_captured_host_gives_the_same_file(name: str) -> None:
    assert capture(tree_of(name), affinity_of(name), "none") == (HOSTS / f"{name}.host").read_text()


def test_every_file_is_expected_and_every_expected_host_has_a_file() -> None:
    assert {path.stem for path in HOSTS.glob("*.host")} == set(EXPECTED)


def test_the_written_hosts_are_those_that_make_hosts_writes(tmp_path: Path) -> None:
    write_hosts(tmp_path)
    assert set(MACHINES) == set(WRITTEN)
    for written in tmp_path.iterdir():
        assert written.read_text() == (HOSTS / written.name).read_text(), f"{written.name}: run hack/make-hosts"
