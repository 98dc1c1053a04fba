"""NUMA passthrough: cells, their memory, and what a node may lack."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple, replace

from launcher.errors import DoesNotFit
from launcher.host.model import CPU, NO_NODE, Host
from launcher.planner.model import Score
from launcher.planner.plan import plan
from launcher.vmi.guest import Guest, GuestMemory, IOThreadsPolicy, Topology
from tests.planner.cases import regular_host
from tests.planner.exhaustive_cells import best_score_in_cells
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
        "node 1 has 49 free huge pages of 2Mi, the guest's cell there needs 50: free or reserve 1 more on that node"
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
    with pytest.raises(DoesNotFit, match="memory of 3Mi is not a whole number of pages of 2Mi"):
        plan(a_guest(passthrough=True, memory=memory), a_host(free_pages={0: 9}), allow("0"))


def test_every_cell_has_memory() -> None:
    with pytest.raises(DoesNotFit, match="1 pages of memory are too few for the guest's 2 NUMA cells"):
        plan(_guest(2, 1, pages=1), a_host(2, 1, 1, free_pages={0: 9, 1: 9}), allow("0-1"))


@dataclass(frozen=True)
class CellCase:
    """One problem: the free CPUs, the guest's shape, the housekeeping CPUs, and the pages needed and free by node."""

    cpus: tuple[CPU, ...]
    topology: Topology
    housekeeping: int
    pages: int
    free: tuple[int, ...]


@st.composite
def cell_cases(draw: st.DrawFn) -> CellCase:
    """Draw a host of up to three nodes, of which one may have no memory of its own, and a guest of up to six vCPUs."""
    nodes, threads = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    host = regular_host(
        nodes, draw(st.integers(1, 2)), draw(st.integers(1, 3)), threads, interleaved=draw(st.booleans())
    )
    if nodes > 1 and draw(st.integers(0, 9)) == 0:
        host = tuple(replace(cpu, node=NO_NODE) if cpu.node == 0 else cpu for cpu in host)
    shapes = [Topology(sockets=s, cores=c, threads=t) for s in (1, 2, 3) for c in (1, 2, 3) for t in (1, 2)]
    topology = draw(st.sampled_from([shape for shape in shapes if shape.vcpus <= min(6, len(host))]))
    housekeeping = draw(st.integers(0, min(2, 7 - topology.vcpus, len(host) - topology.vcpus)))
    needed = topology.vcpus + housekeeping
    cpus = draw(st.permutations(host))[: draw(st.integers(needed, max(needed, min(7, len(host)))))]
    pages = draw(st.sampled_from((1, 2, 3, 5, 7, 8, 12)))
    free = draw(st.tuples(*[st.sampled_from((0, 1, 2, 3, pages // 2, pages, 2 * pages)) for _ in range(nodes)]))
    return CellCase(cpus=tuple(cpus), topology=topology, housekeeping=housekeeping, pages=pages, free=free)


@settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck), max_examples=400)
@given(cell_cases())
def test_a_placement_is_found_wherever_there_is_one_and_none_scores_better(case: CellCase) -> None:
    free = dict(enumerate(case.free))
    best = best_score_in_cells(case.cpus, case.topology, case.housekeeping, case.pages, free)
    assert _planned_score(case, free) == best


def _planned_score(case: CellCase, free: dict[int, int]) -> Score | None:
    topology, emulator = case.topology, min(case.housekeeping, 1)
    guest = a_guest(
        topology.sockets,
        topology.cores,
        topology.threads,
        passthrough=True,
        isolate=bool(emulator),
        policy=IOThreadsPolicy.SUPPLEMENTAL_POOL,
        pool=case.housekeeping - emulator,
        memory=GuestMemory(guest_bytes=case.pages * 2 * MIB, huge_page_bytes=2 * MIB),
    )
    cpus = tuple(sorted(case.cpus, key=lambda cpu: cpu.cpu))
    host = Host(cpus=cpus, nodes=a_host(len(free), free_pages=free).nodes)
    try:
        pinning = plan(guest, host, allow(",".join(str(cpu.cpu) for cpu in cpus)))
    except DoesNotFit:
        return None
    assert sum(cell.memory_bytes for cell in pinning.cells) == case.pages * 2 * MIB
    assert all(0 < cell.memory_bytes <= free[cell.node] * 2 * MIB for cell in pinning.cells)
    return pinning.score


@dataclass(frozen=True)
class LargeCase:
    """A guest on a host whose pages are short, and the best score, which an independent integer program has found."""

    shape: tuple[int, int, int]
    host: tuple[int, int, int]
    cpuset: str
    pages: int
    free: tuple[int, ...]
    best: tuple[int, int, int, int, int, int]
    isolate: bool = False


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            LargeCase((4, 3, 2), (2, 6, 4), "0-18,20-24,26-27,30-37,39-47", 12, (4, 8), (0, 0, 0, 1, 2, 1)),
            id="a node keeps its places for whole guest cores",
        ),
        pytest.param(
            LargeCase((3, 3, 1), (4, 6, 2), "0-11,13-47", 12, (4, 8, 4, 0), (0, 0, 0, 0, 2, 0), isolate=True),
            id="housekeeping is not beside vCPUs where cores are free",
        ),
        pytest.param(
            LargeCase((3, 3, 1), (3, 8, 1), "0-8,10,12-16,18-23", 100, (33, 100, 33), (0, 0, 0, 0, 2, 1), isolate=True),
            id="nodes get whole guest sockets although more vCPUs would have pages",
        ),
        pytest.param(
            LargeCase((2, 6, 1), (3, 4, 2), "0-8,10-23", 10, (2, 3, 6), (0, 0, 0, 1, 3, 2)),
            id="two nodes make up a guest socket beside one of its own",
        ),
        pytest.param(
            LargeCase((3, 3, 1), (4, 8, 2), "0-63", 100, (0, 50, 50, 66), (0, 0, 0, 0, 2, 0)),
            id="as few nodes as the pages allow",
        ),
        pytest.param(
            LargeCase((4, 5, 1), (2, 6, 2), "0-23", 12, (4, 8), (0, 0, 0, 1, 2, 2)),
            id="the caches left empty suit the guest sockets",
        ),
        pytest.param(
            LargeCase((4, 5, 1), (4, 6, 2), "0-1,3-47", 10, (3, 6, 0, 3), (0, 0, 0, 0, 3, 0), isolate=True),
            id="guest sockets keep to a cache each where two nodes are left half empty",
        ),
    ],
)
def test_a_larger_guest_short_of_pages_is_placed_with_the_best_score(case: LargeCase) -> None:
    nodes, cores, threads = case.host
    host = a_host(nodes, cores, threads, caches=2, free_pages=dict(enumerate(case.free)))
    guest = _guest(*case.shape, pages=case.pages, isolate=case.isolate)
    score = plan(guest, host, allow(case.cpuset)).score
    assert score is not None
    assert astuple(score) == case.best


def test_a_page_left_over_by_rounding_goes_where_one_is_free() -> None:
    guest = _guest(1, 4, pages=7)
    pinning = plan(guest, a_host(2, 2, 1, free_pages={0: 3, 1: 4}), allow("0-3"))
    assert [cell.memory_bytes // (2 * MIB) for cell in pinning.cells] == [3, 4]


def test_a_large_guest_is_placed_wherever_the_free_pages_hold_it_in_some_division() -> None:
    host = a_host(3, 50, 1, free_pages={0: 20, 1: 33, 2: 47})
    pinning = plan(_guest(5, 20, pages=100), host, allow("0-149"))
    assert [(cell.node, len(cell.vcpus), cell.memory_bytes // (2 * MIB)) for cell in pinning.cells] == [
        (0, 20, 20),
        (1, 33, 33),
        (2, 47, 47),
    ]
    with pytest.raises(DoesNotFit, match="free huge pages"):
        plan(_guest(5, 20, pages=101), host, allow("0-149"))


def test_the_order_of_the_cpus_and_nodes_does_not_matter() -> None:
    host = a_host(4, 6, 2, caches=2, free_pages={0: 3, 1: 6, 2: 0, 3: 3})
    turned = replace(host, cpus=host.cpus[::-1], nodes=host.nodes[::-1])
    guest = _guest(4, 5, pages=10, isolate=True)
    assert plan(guest, turned, allow("0-1,3-47")) == plan(guest, host, allow("0-1,3-47"))
