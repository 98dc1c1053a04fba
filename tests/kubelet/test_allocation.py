"""The CPU manager's allocations: what Kubernetes' own tables expect, and what holds for every machine."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.cpuset import CPUSet
from launcher.host.model import CPU, NO_NODE, Host
from launcher.kubelet.distributed import Sharing, take_distributed
from launcher.kubelet.errors import KubeletHangs, NotEnoughCPUs
from launcher.kubelet.packed import take_packed
from launcher.kubelet.topology import topology_of
from tests.kubelet.machines import (
    N2S4C10T2,
    S1C4T2,
    S1N2U4C4T1,
    S1U2C4T2,
    S1U4C4T1,
    S2C3T2_INTERLEAVED,
    S2C4T1,
    S2N4C10T2,
    S2N8C16T2,
    S2U4C4T1,
    S3C3T2_ODD,
    SHAPES,
    machine,
)

# Columns: what the row says, machine, available CPUs, requested count, CPUs taken.
PACKED = [
    ("nothing_requested_takes_nothing", S1C4T2, "0-7", 0, ""),
    ("the_first_cpu_of_an_empty_machine", S1C4T2, "0-7", 1, "0"),
    ("a_whole_core_rather_than_two_halves", S1C4T2, "0-7", 2, "0,4"),
    ("the_whole_machine", S1C4T2, "0-7", 8, "0-7"),
    ("the_only_core_that_is_free_as_a_whole", S1C4T2, "0-3,6", 2, "2,6"),
    ("a_single_cpu_from_a_broken_core", S1C4T2, "1,3,5-7", 1, "6"),
    ("a_single_cpu_from_the_fuller_socket", S2C3T2_INTERLEAVED, "1-5,7-11", 1, "2"),
    ("a_whole_socket", S2C3T2_INTERLEAVED, "0-11", 6, "0,2,4,6,8,10"),
    ("a_whole_socket_and_a_core_of_the_next", S2C3T2_INTERLEAVED, "0-11", 8, "0-2,4,6-8,10"),
    ("half_of_a_machine_without_smt", S2C4T1, "0-7", 4, "0-3"),
    ("the_lowest_node_where_its_cpus_are_not", S3C3T2_ODD, "0-17", 6, "6-11"),
    ("the_fullest_of_three_sockets", S3C3T2_ODD, "0-3,6-13", 2, "12-13"),
    ("a_socket_of_two_nodes", S2N4C10T2, "0-79", 40, "0-19,40-59"),
    ("a_node_of_an_empty_socket", S2N4C10T2, "0-79", 20, "0-9,40-49"),
    ("the_free_node_of_the_socket_in_use", S2N4C10T2, "10-39,50-79", 20, "10-19,50-59"),
    ("a_socket_and_a_node", S2N4C10T2, "0-79", 60, "0-29,40-69"),
    ("the_free_socket_and_the_free_node", S2N4C10T2, "1-39,41-79", 60, "10-39,50-79"),
    ("a_socket_a_node_and_two_cores", S2N4C10T2, "0-79", 64, "0-31,40-71"),
    ("a_node_of_two_sockets", N2S4C10T2, "0-79", 40, "0-19,40-59"),
    ("a_node_and_a_socket", N2S4C10T2, "0-79", 60, "0-29,40-69"),
    ("the_free_socket_of_the_node_in_use", N2S4C10T2, "0-8,10-79", 20, "10-19,50-59"),
]
SPREAD = [
    ("one_thread_of_each_core", S1C4T2, "0-7", 3, "0-2"),
    ("two_cores_of_one_socket", S2C3T2_INTERLEAVED, "0-11", 2, "0,2"),
    ("three_cores_of_one_socket", S2C3T2_INTERLEAVED, "0-11", 3, "0,2,4"),
    ("a_whole_socket_is_taken_as_a_whole", S2C3T2_INTERLEAVED, "0-11", 6, "0,2,4,6,8,10"),
    ("a_whole_socket_and_two_cores_of_the_next", S2C3T2_INTERLEAVED, "0-11", 8, "0-4,6,8,10"),
    ("without_smt_as_packed", S2C4T1, "0-7", 2, "0-1"),
    ("eight_cores_of_one_socket", S2N4C10T2, "0-79", 8, "0-7"),
]
BY_CACHE = [
    ("two_whole_caches_and_the_rest_from_the_broken_one", S1U4C4T1, "1-15", 10, "1-2,4-11"),
    ("the_first_whole_cache", S2U4C4T1, "0-15", 4, "0-3"),
    ("a_broken_and_a_whole_cache_of_one_socket", S2U4C4T1, "2-15", 6, "2-7"),
    ("the_first_cache_of_the_second_socket", S2U4C4T1, "8-15", 4, "8-11"),
    ("part_of_a_cache_that_is_free_as_a_whole", S1N2U4C4T1, "3-8,12", 2, "4-5"),
    ("cores_of_the_cache_that_has_enough", S1U2C4T2, "2-7,10-15", 6, "4-6,12-14"),
    ("a_whole_cache_and_a_core_of_the_other", S1U2C4T2, "1-7,9-15", 10, "1,4-7,9,12-15"),
    ("an_uneven_count_leaves_the_last_thread", S1U2C4T2, "0-15", 3, "0-1,8"),
    ("a_machine_with_one_cache_gives_its_first_core", S2C3T2_INTERLEAVED, "1-5,7-11", 1, "1"),
    ("more_than_any_cache_has_left_is_packed", S1U4C4T1, "0-1,4-5,8-9", 3, "0-1,4"),
]
# Columns: what the row says, machine, available CPUs, requested count, CPUs of a group, CPUs taken.
DISTRIBUTED = [
    ("four_cores_two_of_each_node", S2C3T2_INTERLEAVED, "0-11", 8, 1, "0-3,6-9"),
    ("one_cpu_from_the_emptier_node", S2C3T2_INTERLEAVED, "1-5,7-11", 1, 1, "1"),
    ("a_count_that_breaks_a_group_is_packed", S2C3T2_INTERLEAVED, "1-5,7-11", 1, 2, "2"),
    ("a_node_is_enough", S2N4C10T2, "0-79", 20, 1, "0-9,40-49"),
    ("thirteen_cores_of_two_nodes", S2N4C10T2, "0-79", 26, 1, "0-6,10-16,40-45,50-55"),
    ("thirteen_whole_cores_of_two_nodes", S2N4C10T2, "0-79", 26, 2, "0-6,10-15,40-46,50-55"),
    ("twenty_four_cores_of_three_nodes", S2N4C10T2, "0-79", 48, 1, "0-7,10-17,20-27,40-47,50-57,60-67"),
    (
        "three_nodes_that_stay_most_even",
        S2N4C10T2,
        "1-29,32-39,41-69,72-79",
        48,
        1,
        "1-8,10-17,20-27,41-48,50-57,60-67",
    ),
    (
        "the_three_emptiest_nodes",
        S2N4C10T2,
        "2-29,31-39,42-69,71-79",
        48,
        1,
        "10-17,20-27,31-38,50-57,60-67,71-78",
    ),
    ("thirty_two_cores_of_four_nodes", S2N4C10T2, "0-79", 64, 1, "0-7,10-17,20-27,30-37,40-47,50-57,60-67,70-77"),
    (
        "two_cores_of_each_of_four_nodes",
        S2N4C10T2,
        "0-2,10-12,20-22,30-32,40-41,50-51,60-61,70-71",
        16,
        1,
        "0-1,10-11,20-21,30-31,40-41,50-51,60-61,70-71",
    ),
    ("the_remainder_to_the_first_nodes", S2N4C10T2, "0-79", 62, 1, "0-7,10-17,20-27,30-37,40-47,50-57,60-66,70-76"),
    (
        "the_remainder_in_whole_cores",
        S2N4C10T2,
        "0-79",
        62,
        2,
        "0-7,10-17,20-27,30-36,40-47,50-57,60-67,70-76",
    ),
    (
        "the_remainder_where_it_keeps_the_balance",
        S2N4C10T2,
        "0-8,10-18,20-39,40-48,50-58,60-79",
        62,
        1,
        "0-7,10-17,20-27,30-37,40-46,50-56,60-67,70-77",
    ),
    (
        "the_remainder_in_whole_cores_where_it_keeps_the_balance",
        S2N4C10T2,
        "0-8,10-18,20-48,50-58,60-79",
        62,
        2,
        "0-7,10-16,20-27,30-37,40-47,50-56,60-67,70-77",
    ),
    (
        "the_remainder_only_from_nodes_that_have_it",
        S2N4C10T2,
        "0-3,10-13,20-23,30-36,40-43,50-53,60-63,70-76",
        34,
        1,
        "0-3,10-13,20-23,30-34,40-43,50-53,60-63,70-74",
    ),
    (
        "three_of_eight_fragmented_nodes",
        S2N8C16T2,
        "0,30-31,43-47,62-63,75-79,94,96,101-111,126-128,158-159,171-175,190-191,203-207,222-223,229-239,254-255",
        28,
        1,
        "43-47,75-79,96,101-105,171-174,203-206,229-232",
    ),
    ("no_even_share_is_packed", S2C4T1, "0,4-7", 5, 1, "0,4-7"),
]


@pytest.mark.parametrize("name", SHAPES)
def test_a_machine_has_the_shape_that_its_name_says(name: str) -> None:
    host, shape = SHAPES[name]
    topology = topology_of(host)
    counts = len(host.cpus), len(topology.cores), len(topology.sockets), len(topology.nodes)
    assert (*counts, topology.cpus_per_core) == shape


@pytest.mark.parametrize(
    ("host", "free", "count", "taken"), [row[1:] for row in PACKED], ids=[row[0] for row in PACKED]
)
def test_packed(host: Host, free: str, count: int, taken: str) -> None:
    assert str(take_packed(topology_of(host), CPUSet.parse(free), count)) == taken


@pytest.mark.parametrize(
    ("host", "free", "count", "taken"), [row[1:] for row in SPREAD], ids=[row[0] for row in SPREAD]
)
def test_spread_over_cores(host: Host, free: str, count: int, taken: str) -> None:
    assert str(take_packed(topology_of(host), CPUSet.parse(free), count, spread=True)) == taken


@pytest.mark.parametrize(
    ("host", "free", "count", "taken"), [row[1:] for row in BY_CACHE], ids=[row[0] for row in BY_CACHE]
)
def test_aligned_by_cache(host: Host, free: str, count: int, taken: str) -> None:
    assert str(take_packed(topology_of(host), CPUSet.parse(free), count, by_cache=True)) == taken


@pytest.mark.parametrize(
    ("host", "free", "count", "group", "taken"), [row[1:] for row in DISTRIBUTED], ids=[row[0] for row in DISTRIBUTED]
)
def test_distributed_over_nodes(host: Host, free: str, count: int, group: int, taken: str) -> None:
    assert str(take_distributed(topology_of(host), CPUSet.parse(free), count, Sharing(group=group))) == taken


def test_more_than_is_available_is_refused_with_both_numbers() -> None:
    with pytest.raises(NotEnoughCPUs, match="satisfy request: requested=5, available=4") as refusal:
        take_packed(topology_of(S1C4T2), CPUSet.parse("0,2,4,6"), 5)
    assert (refusal.value.requested, refusal.value.available) == (5, 4)


def test_more_than_is_available_is_refused_before_it_is_distributed() -> None:
    with pytest.raises(NotEnoughCPUs, match="satisfy request: requested=12, available=10"):
        take_distributed(topology_of(S2C3T2_INTERLEAVED), CPUSet.parse("1-5,7-11"), 12, Sharing(group=2))


def test_cpus_are_shared_out_over_nine_nodes_as_over_fewer() -> None:
    host = machine([f"{cpu}-{cpu + 1}" for cpu in range(0, 18, 2)], cores=18)
    assert str(take_distributed(topology_of(host), CPUSet.parse("0-17"), 4, Sharing(group=1))) == "0-3"


def test_a_remainder_that_two_nodes_have_only_as_broken_cores_is_sought_for_ever() -> None:
    # Any two nodes have six CPUs left after four of each, but only two whole cores each way.
    host = machine(["0-7", "8-15", "16-23", "24-31"], cores=[f"{cpu}-{cpu + 1}" for cpu in range(0, 32, 2)])
    with pytest.raises(KubeletHangs, match="it would never answer: its distribute-cpus-across-numa does not end"):
        take_distributed(topology_of(host), CPUSet.parse("0-6,8-14,16-22,24-30"), 22, Sharing(group=2))


def test_a_cpu_in_no_node_is_unknown_to_the_kubelet() -> None:
    cpus = tuple(CPU(cpu=cpu, core=cpu, die=0, socket=0, node=node, cache=0) for cpu, node in ((0, 0), (1, NO_NODE)))
    assert CPUSet(topology_of(Host(cpus=cpus, nodes=())).cpus) == CPUSet.parse("0")


def test_each_socket_of_a_machine_without_nodes_is_one() -> None:
    cpus = tuple(CPU(cpu=cpu, core=cpu, die=0, socket=0, node=NO_NODE, cache=0) for cpu in range(2))
    topology = topology_of(Host(cpus=cpus, nodes=()))
    assert [(unit.id, unit.cpus) for unit in topology.nodes] == [(0, 0b11)]


def test_a_core_of_which_one_thread_is_offline_is_whole_and_comes_first() -> None:
    host = machine(["0,2-5"], cores=["0", "2-3", "4-5"])
    assert str(take_packed(topology_of(host), CPUSet.parse("0,2-5"), 3)) == "0,2-3"


def test_a_core_of_two_threads_among_cores_of_one_is_taken_whole_though_half_of_it_is_in_use() -> None:
    """The kubelet's CPUs per core are 8 // 6 = 1, and that many are free of the core 0-1, of which CPU 0 is not."""
    host = machine(["0-7"], cores=["0-1", "2-3", "4", "5", "6", "7"])
    assert str(take_packed(topology_of(host), CPUSet.parse("1-3,5-7"), 5)) == "0-1,5-7"


@st.composite
def machines(draw: st.DrawFn) -> Host:
    """Build machines of 1-4 sockets, nodes inside sockets or around them, 1-4 threads, numbered in one of two ways."""
    sockets, nodes_per_socket, cores, threads = (draw(st.integers(1, top)) for top in (3, 2, 4, 4))
    sockets_per_node = draw(st.integers(1, 2)) if nodes_per_socket == 1 else 1
    caches = draw(st.integers(1, 2))
    places = [
        (socket, socket // sockets_per_node * nodes_per_socket + node, core)
        for socket in range(sockets)
        for node in range(nodes_per_socket)
        for core in range(cores)
    ]
    contiguous = draw(st.booleans())
    cpus = [
        CPU(
            cpu=place * threads + thread if contiguous else thread * len(places) + place,
            core=place,
            die=socket,
            socket=socket,
            node=node,
            cache=(socket * 2 + node) * 2 + core % caches,
        )
        for place, (socket, node, core) in enumerate(places)
        for thread in range(threads)
    ]
    return Host(cpus=tuple(sorted(cpus, key=lambda cpu: cpu.cpu)), nodes=())


@st.composite
def requests(draw: st.DrawFn) -> tuple[Host, CPUSet, int]:
    host = draw(machines())
    free = CPUSet.of(cpu.cpu for cpu in host.cpus if draw(st.integers(0, 3)))
    return host, free, draw(st.integers(0, len(free)))


@settings(deadline=None)
@given(requests(), st.booleans(), st.booleans())
def test_a_packed_allocation_has_the_requested_size_and_is_available(
    request: tuple[Host, CPUSet, int], spread: bool, by_cache: bool
) -> None:
    host, free, count = request
    taken = take_packed(topology_of(host), free, count, spread=spread, by_cache=by_cache)
    assert len(taken) == count
    assert taken <= free


@settings(deadline=None)
@given(requests(), st.booleans())
def test_a_distributed_allocation_has_the_requested_size_and_is_available(
    request: tuple[Host, CPUSet, int], whole_cores: bool
) -> None:
    host, free, count = request
    topology = topology_of(host)
    taken = take_distributed(topology, free, count, Sharing(group=topology.cpus_per_core if whole_cores else 1))
    assert len(taken) == count
    assert taken <= free


@settings(deadline=None)
@given(requests(), st.data())
def test_the_order_in_which_the_host_names_its_cpus_does_not_matter(
    request: tuple[Host, CPUSet, int], data: st.DataObject
) -> None:
    host, free, count = request
    other = Host(cpus=tuple(data.draw(st.permutations(host.cpus))), nodes=())
    assert take_packed(topology_of(other), free, count) == take_packed(topology_of(host), free, count)


@settings(deadline=None)
@given(machines(), st.data())
def test_whole_cores_in_whole_cores_out(host: Host, data: st.DataObject) -> None:
    topology = topology_of(host)
    free = CPUSet(sum(core.cpus for core in topology.cores if data.draw(st.booleans())))
    count = data.draw(st.integers(0, len(free) // topology.cpus_per_core)) * topology.cpus_per_core
    packed = take_packed(topology, free, count)
    spread = take_distributed(topology, free, count, Sharing(group=topology.cpus_per_core))
    for core in topology.cores:
        assert core.cpus & packed.mask in {0, core.cpus}
        assert core.cpus & spread.mask in {0, core.cpus}


@settings(deadline=None)
@given(requests())
def test_a_count_that_fits_one_node_of_an_empty_machine_stays_on_one_node(request: tuple[Host, CPUSet, int]) -> None:
    host, _, count = request
    topology = topology_of(host)
    smallest = min(node.cpus.bit_count() for node in topology.nodes)
    taken = take_packed(topology, CPUSet(topology.cpus), min(count, smallest))
    assert sum(1 for node in topology.nodes if node.cpus & taken.mask) <= 1


@settings(deadline=None)
@given(machines(), st.data())
def test_distribution_over_all_nodes_is_even_on_an_empty_machine(host: Host, data: st.DataObject) -> None:
    topology = topology_of(host)
    sizes = {node.cpus.bit_count() for node in topology.nodes}
    each = data.draw(st.integers(1, min(sizes)))
    nodes = data.draw(st.integers(1, len(topology.nodes)))
    taken = take_distributed(topology, CPUSet(topology.cpus), each * nodes, Sharing(group=1))
    shares = [(node.cpus & taken.mask).bit_count() for node in topology.nodes if node.cpus & taken.mask]
    if len(sizes) == 1:
        assert max(shares) - min(shares) <= 1


def test_512_of_2048_cpus_are_found_on_a_fragmented_machine() -> None:
    nodes = [f"{first}-{first + 127},{first + 1024}-{first + 1151}" for first in range(0, 1024, 128)]
    host = machine(nodes, cores=1024)
    free = CPUSet.of(cpu for cpu in range(2048) if cpu % 7)
    for taken in (
        take_packed(topology_of(host), free, 512),
        take_packed(topology_of(host), free, 512, by_cache=True),
        take_distributed(topology_of(host), free, 512, Sharing(group=2)),
    ):
        assert (len(taken), taken <= free) == (512, True)
