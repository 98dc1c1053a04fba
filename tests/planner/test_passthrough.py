"""NUMA passthrough: cells, their memory, and what a node may lack."""

from __future__ import annotations

import pytest

from launcher.errors import DoesNotFit
from launcher.host.model import CPU, NO_NODE, Host
from launcher.planner.plan import plan
from launcher.vmi.guest import Guest, GuestMemory
from tests.planner.guests import MIB, a_guest, a_host, allow


def _guest(sockets: int, cores: int, threads: int = 1, *, pages: int = 100, isolate: bool = False) -> Guest:
    memory = GuestMemory(guest_bytes=pages * 2 * MIB, huge_page_bytes=2 * MIB)
    return a_guest(sockets, cores, threads, passthrough=True, isolate=isolate, memory=memory)


def test_each_host_node_used_becomes_a_cell_with_its_share_of_the_memory() -> None:
    pinning = plan(_guest(3, 1, 2, pages=100), a_host(2, 2, 2, free_pages={0: 200, 1: 200}), allow("0-5"))
    assert [(cell.cell, cell.node, str(cell.vcpus), cell.memory_bytes // (2 * MIB)) for cell in pinning.cells] == [
        (0, 0, "0-3", 67),
        (1, 1, "4-5", 33),
    ]
    assert [cell.distances for cell in pinning.cells] == [((0, 10), (1, 20)), ((0, 20), (1, 10))]


def test_a_guest_on_one_node_has_one_cell() -> None:
    pinning = plan(_guest(1, 2, 2), a_host(2, 4, 2, free_pages={0: 0, 1: 200}), allow("8-15"))
    assert [(cell.node, str(cell.vcpus), cell.distances) for cell in pinning.cells] == [(1, "0-3", ((0, 10),))]


def test_without_passthrough_there_are_no_cells() -> None:
    assert plan(a_guest(2, 2, 2), a_host(2, 2), allow("0-7")).cells == ()


def test_a_node_that_lacks_huge_pages_is_named_with_need_and_supply() -> None:
    with pytest.raises(DoesNotFit) as refused:
        plan(_guest(2, 2, 2), a_host(2, 2, 2, free_pages={0: 60, 1: 49}), allow("0-7"))
    assert str(refused.value) == (
        "node 1 has 49 free huge pages of 2097152 bytes, the guest's cell there needs 50: "
        "free or reserve 1 more on that node"
    )


def test_a_placement_that_has_its_huge_pages_is_preferred() -> None:
    pinning = plan(_guest(1, 2, 2), a_host(2, 4, 2, free_pages={0: 99, 1: 100}), allow("0-15"))
    assert [cell.node for cell in pinning.cells] == [1]


def test_a_larger_share_goes_where_the_huge_pages_are() -> None:
    pinning = plan(_guest(1, 4), a_host(2, 4, 1, free_pages={0: 25, 1: 75}), allow("0-7"))
    assert [(cell.node, len(cell.vcpus), cell.memory_bytes // (2 * MIB)) for cell in pinning.cells] == [
        (0, 1, 25),
        (1, 3, 75),
    ]


def test_a_guest_core_never_spans_nodes() -> None:
    with pytest.raises(DoesNotFit) as refused:
        plan(_guest(1, 2, 2), a_host(2, 2, 2, free_pages={0: 100, 1: 100}), allow("0-2,4"))
    assert str(refused.value) == (
        "numa.guestMappingPassthrough needs all 2 threads of every guest core on one NUMA node, for 4 vCPUs: "
        "node 0 has 3 CPUs (0-2), 1 too few for 2 guest cores; node 1 has 1 CPUs (4), 1 too few for 1 guest cores"
    )


def test_cpus_of_no_node_carry_no_vcpu() -> None:
    cpus = tuple(CPU(cpu=cpu, core=cpu, die=0, socket=0, node=NO_NODE if cpu else 0, cache=0) for cpu in range(3))
    host = Host(cpus=cpus, nodes=a_host(1, free_pages={0: 100}).nodes)
    assert str(plan(_guest(1, 1, isolate=True), host, allow("0-1")).emulator) == "1"
    with pytest.raises(DoesNotFit, match=r"CPUs 1-2 of the cpuset belong to no node and cannot carry a vCPU"):
        plan(_guest(1, 2), host, allow("0-2"))


def test_a_socket_over_two_cells_is_a_warning() -> None:
    pinning = plan(_guest(1, 4), a_host(2, 2, 1, free_pages={0: 100, 1: 100}), allow("0-3"))
    assert pinning.warnings == (
        "guest socket 0 lies on NUMA nodes 0 and 1: set spec.domain.cpu.sockets: 2 and cores: 2, one socket for each",
    )


def test_memory_that_is_no_whole_number_of_pages_is_refused() -> None:
    memory = GuestMemory(guest_bytes=3 * MIB, huge_page_bytes=2 * MIB)
    with pytest.raises(DoesNotFit, match="3145728 bytes is not a whole number of pages of 2097152 bytes"):
        plan(a_guest(passthrough=True, memory=memory), a_host(free_pages={0: 9}), allow("0"))


def test_every_cell_has_memory() -> None:
    with pytest.raises(DoesNotFit, match="1 pages of memory are too few for the guest's 2 NUMA cells"):
        plan(_guest(2, 1, pages=1), a_host(2, 1, 1, free_pages={0: 9, 1: 9}), allow("0-1"))
