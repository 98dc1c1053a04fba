"""Every example on a node: the kernel's own word on where its threads run and where its memory lies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.nodes.shapes import SHAPES
from tests.e2e.boot_sector import POWERED_OFF, READY
from tests.e2e.containers import Kubelet, run_container
from tests.e2e.guests import CASES, DEVICES, EXAMPLES, Case
from tests.e2e.kernel import SCHED_FIFO, SCHED_OTHER, node_of, online_cpus, siblings_of
from tests.e2e.seen import Seen, look

_HERE = tuple(case for case in CASES if case.shape == os.environ.get("NODE_SHAPE"))
# A guest that knows nothing of the power button has so long; one that does is off at once, on a busy machine later.
_DEAF_GRACE_S, _GRACE_S = 3, 180
# QEMU without a guest has more of its own.
_QEMUS_OWN_BYTES = 8 << 20


@pytest.fixture(scope="module", params=_HERE, ids=lambda case: case.name.replace(" ", "-"))
def seen(request: pytest.FixtureRequest, node: Path) -> Iterator[Seen]:
    """Run the guest in a container of its own, beside others, until it runs; and look."""
    case: Case = request.param
    kubelet = Kubelet(case.kubelet)
    more = ("--grace-period", str(_GRACE_S if case.boots else _DEAF_GRACE_S))
    try:
        neighbours = tuple(kubelet.start_neighbour(cpus) for cpus in case.neighbours)
        container = run_container(kubelet, case.manifest, node, *more, kvm=case.kvm, more_cpus=case.roles.left_over)
        before = tuple(neighbour.state() for neighbour in neighbours)
        container.wait_for(READY if case.boots else '"message": "running"')
        yield look(case, container, neighbours, before)
        container.close()
    finally:
        kubelet.close()


def test_every_example_runs_on_a_shape() -> None:
    assert {case.example for case in CASES if case.example} == {path.stem for path in EXAMPLES.glob("*.yaml")}
    assert {case.shape for case in CASES} == {shape.name for shape in SHAPES} - {DEVICES}


def test_the_container_has_as_many_cpus_as_its_roles_need(seen: Seen) -> None:
    roles = seen.case.roles
    assert seen.cpuset == frozenset(seen.container.group.own)
    assert seen.cpuset <= online_cpus()
    if seen.case.dedicated:
        assert len(seen.cpuset) == seen.case.vcpus + roles.isolated + roles.pool + roles.left_over


def test_each_vcpu_may_run_on_one_cpu_alone_or_where_nothing_is_pinned_on_all(seen: Seen) -> None:
    assert sorted(seen.vcpus) == list(range(seen.case.vcpus))
    allowed = [thread.allowed for thread in seen.vcpus.values()]
    if seen.case.dedicated:
        assert [len(cpus) for cpus in allowed] == [1] * seen.case.vcpus
        assert len(seen.vcpu_cpus) == seen.case.vcpus
    else:
        assert allowed == [seen.cpuset] * seen.case.vcpus


def test_each_vcpu_has_run_where_it_may(seen: Seen) -> None:
    assert {vcpu: thread.cpu in thread.allowed for vcpu, thread in seen.vcpus.items()} == dict.fromkeys(
        range(seen.case.vcpus), True
    )


def test_vcpus_are_run_by_what_the_node_has(seen: Seen) -> None:
    kind = "KVM" if seen.case.kvm else "TCG"
    assert {thread.name for thread in seen.vcpus.values()} == {f"CPU {vcpu}/{kind}" for vcpu in range(seen.case.vcpus)}


def test_the_threads_of_a_guest_core_are_threads_of_one_host_core(seen: Seen) -> None:
    cores: dict[int, set[int]] = {}
    for vcpu, thread in seen.vcpus.items():
        cores.setdefault(vcpu // seen.case.threads, set()).update(thread.allowed)
    if seen.case.dedicated:
        assert [len(core) for core in cores.values()] == [seen.case.threads] * len(cores)
        assert [core for core in cores.values() if not core <= siblings_of(min(core))] == []


def test_qemus_own_threads_have_the_cpus_of_their_role(seen: Seen) -> None:
    assert {thread.name: thread.allowed for thread in seen.emulator} == {
        thread.name: seen.others_cpus for thread in seen.emulator
    }
    assert len(seen.others_cpus) in (seen.case.roles.isolated or seen.case.roles.left_over, len(seen.cpuset))


def test_io_threads_have_the_cpus_of_their_role(seen: Seen) -> None:
    roles = seen.case.roles
    assert sorted(seen.io_threads) == list(range(1, roles.io_threads + 1))
    allowed = [thread.allowed for thread in seen.io_threads.values()]
    if roles.pool:
        assert [len(cpus) for cpus in allowed] == [1] * roles.pool
        assert len(set(allowed)) == roles.pool
        assert frozenset().union(*allowed).isdisjoint(seen.vcpu_cpus)
    else:
        assert set(allowed) <= {seen.others_cpus}


def test_all_of_ours_stays_inside_of_the_cpuset(seen: Seen) -> None:
    assert [thread for thread in seen.ours if not thread.allowed <= seen.cpuset] == []
    assert {seen.container.launcher_pid, seen.container.qemu_pid()} <= {thread.pid for thread in seen.ours}


def test_nothing_of_ours_is_on_a_vcpus_cpu_where_there_are_others(seen: Seen) -> None:
    vcpus = {thread.tid for thread in seen.vcpus.values()}
    # Of QEMU with a pool alone, the table leaves the emulator on all CPUs; the launcher is never bound to that.
    bound = {thread.tid for thread in seen.emulator} if seen.others_cpus == seen.cpuset else set()
    others = [thread for thread in seen.ours if thread.tid not in vcpus | bound]
    if seen.case.dedicated and seen.cpuset != seen.vcpu_cpus:
        assert [thread for thread in others if thread.allowed & seen.vcpu_cpus] == []
        ran = {thread.tid: thread.cpu for thread in seen.ran}
        assert [thread for thread in others if ran.get(thread.tid) in seen.vcpu_cpus] == []


def test_nothing_else_of_the_node_ran_on_the_containers_cpus(seen: Seen) -> None:
    outside = [thread for thread in seen.ran if thread in seen.outside]
    assert os.getpid() in {thread.pid for thread in outside}
    if seen.case.dedicated:
        assert [thread for thread in outside if thread.cpu in seen.cpuset] == []


def test_nothing_else_of_the_node_may_run_on_the_containers_cpus(seen: Seen) -> None:
    pids = {thread.pid for thread in seen.outside}
    assert {1, os.getpid()} <= pids
    if seen.case.dedicated:
        assert [thread for thread in seen.outside if thread.allowed & seen.cpuset] == []


def test_only_masked_vcpus_are_realtime(seen: Seen) -> None:
    realtime = {seen.vcpus[vcpu].tid: (SCHED_FIFO, 1) for vcpu in seen.case.realtime}
    wanted = {thread.tid: realtime.get(thread.tid, (SCHED_OTHER, 0)) for thread in seen.ours}
    assert {thread.tid: (thread.policy, thread.priority) for thread in seen.ours} == wanted


def test_each_cell_has_its_memory_on_the_node_of_its_vcpus(seen: Seen) -> None:
    nodes = {
        cell: {node_of(cpu) for vcpu in vcpus for cpu in seen.vcpus[vcpu].allowed} for cell, vcpus in seen.cells.items()
    }
    assert [len(found) for found in nodes.values()] == [1] * seen.case.cells
    assert {cell: set(mapping.bytes_on) for cell, mapping in seen.cells_memory.items()} == nodes
    assert {mapping.policy for mapping in seen.cells_memory.values()} == {
        f"bind:{node}" for found in nodes.values() for node in found
    }


def test_the_memory_of_cells_is_all_there_in_huge_pages(seen: Seen) -> None:
    huge = [mapping for mapping in seen.memory if mapping.page_bytes > os.sysconf("SC_PAGE_SIZE")]
    assert huge == list(seen.cells_memory.values())
    assert {mapping.page_bytes for mapping in huge} == ({seen.case.page_bytes} if seen.case.cells else set())
    wanted = seen.case.guest_bytes if seen.case.cells else 0
    assert sum(sum(mapping.bytes_on.values()) for mapping in huge) == wanted


def test_all_memory_lies_next_to_the_containers_cpus(seen: Seen) -> None:
    nodes = {node_of(cpu) for cpu in seen.cpuset}
    assert seen.container.group.mems == nodes
    own = [mapping for mapping in seen.memory if mapping.is_own]
    assert [mapping for mapping in own if not set(mapping.bytes_on) <= nodes] == []
    assert sum(sum(mapping.bytes_on.values()) for mapping in own) > _QEMUS_OWN_BYTES


def test_the_other_containers_are_left_alone(seen: Seen) -> None:
    assert tuple(neighbour.state() for neighbour in seen.neighbours) == seen.before
    if seen.case.dedicated:
        assert [neighbour.cpus & seen.cpuset for neighbour in seen.neighbours] == [set()] * len(seen.neighbours)


def test_it_ends_with_the_promised_status_and_leaves_nothing(seen: Seen) -> None:
    seen.container.signal(signal.SIGTERM)
    if seen.case.boots:
        seen.container.wait_for(POWERED_OFF)
    assert seen.container.wait() == (0 if seen.case.boots else 9), seen.container.output
    assert seen.container.group.pids == ()
    assert tuple(neighbour.state() for neighbour in seen.neighbours) == seen.before
