"""Hosts in hwloc's synthetic notation: their shapes, numbers and memory, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.cpuset import CPUSet
from launcher.errors import UsageError
from launcher.host.model import Host, HugePages, Node
from launcher.host.synthetic import parse_synthetic

GIB = 1 << 30

# Columns: what the row says, text, then how many CPUs, cores, dies, sockets, nodes and caches there are.
SHAPES = [
    ("two_nodes_with_two_caches_each", "node:2 l3:2 core:4 pu:2", (32, 16, 2, 2, 2, 4)),
    ("two_sockets_of_one_node", "pack:2 numa:1 core:4 pu:2", (16, 8, 2, 2, 2, 2)),
    ("two_sockets_of_two_nodes", "package:2 numanode:2 l3:1 core:4 pu:2", (32, 16, 2, 2, 4, 4)),
    ("two_nodes_of_two_sockets", "numa:2 socket:2 core:4 pu:2", (32, 16, 4, 4, 2, 4)),
    ("dies_within_sockets", "pack:2 die:2 core:2 pu:2", (16, 8, 4, 2, 1, 2)),
    ("only_cpus", "pu:4", (4, 4, 1, 1, 1, 1)),
    ("cores_without_a_node", "core:4 pu:2", (8, 4, 1, 1, 1, 1)),
    ("the_largest_cache_is_the_last_level", "pack:1 l3:2 l2:2 l1d:1 l1i:1 core:2 pu:1", (8, 8, 1, 1, 1, 2)),
    ("only_second_level_caches", "pack:2 L2Cache:2 core:2 pu:1", (8, 8, 2, 2, 1, 4)),
    ("a_cache_around_nodes", "pack:1 l3:1 numa:2 core:2 pu:1", (4, 4, 1, 1, 2, 1)),
    ("groups_count_and_mean_nothing", "group:2 tile:2 pack:1 core:2 pu:1", (8, 8, 4, 4, 1, 4)),
    ("shortened_names_in_any_case", "PA:2 No:1 Co:2 PU:2", (8, 4, 2, 2, 2, 2)),
    ("an_attached_node", "pack:2 [numa] core:4 pu:2", (16, 8, 2, 2, 2, 2)),
    ("a_node_attached_to_the_machine", "[NUMANode] pack:2 core:4 pu:2", (16, 8, 2, 2, 1, 2)),
    ("a_node_attached_without_a_space", "pack:2[numa] l3:2 core:4 pu:2", (32, 16, 2, 2, 2, 4)),
    ("power_with_eight_threads", "numa:2 core:12 pu:8", (192, 24, 2, 2, 2, 2)),
    ("one_number_is_pus", "3", (3, 3, 1, 1, 1, 1)),
    ("two_numbers_are_nodes_and_pus", "2 3", (6, 6, 2, 2, 2, 2)),
    ("three_numbers_are_packages_nodes_and_pus", "2 3 4", (24, 24, 2, 2, 6, 6)),
    ("four_numbers_add_cores", "2 3 4 2", (48, 24, 2, 2, 6, 6)),
    ("five_numbers_add_second_level_caches", "2 1 3 4 2", (48, 24, 2, 2, 2, 6)),
    ("seven_numbers_have_three_levels_of_caches", "2 1 3 2 1 2 2", (48, 24, 2, 2, 2, 6)),
    ("nine_numbers_begin_with_a_group", "2 2 1 1 1 1 1 1 2", (8, 4, 4, 4, 4, 4)),
    ("numbers_with_an_attached_node", "2 [numa] 2 2", (8, 4, 2, 2, 2, 2)),
    ("blank_space_does_not_matter", "  numa:2\tcore:2\n pu:2 ", (8, 4, 2, 2, 2, 2)),
    ("the_largest_host", "numa:8 core:128 pu:8", (8192, 1024, 8, 8, 8, 8)),
]

# Columns: what the row says, text, the numbers of the PUs in their order.
NUMBERED = [
    ("in_order_without_a_word", "numa:2 core:2 pu:2", "0 1 2 3 4 5 6 7"),
    ("a_list", "core:2 pu:2(indexes=0,2,1,3)", "0 2 1 3"),
    ("a_sparse_list", "core:2 pu:2(indexes=0,8,1,9)", "0 8 1 9"),
    ("cores_first_as_linux_on_x86", "pack:2 core:2 pu:2(indexes=core)", "0 4 1 5 2 6 3 7"),
    ("sockets_alternating", "pack:2 core:2 pu:2(indexes=pack:core)", "0 4 2 6 1 5 3 7"),
    ("the_order_of_types_is_the_speed", "pack:2 core:2 pu:2(indexes=core:pack)", "0 4 1 5 2 6 3 7"),
    ("loops", "pu:8(indexes=2*4:1*2)", "0 4 1 5 2 6 3 7"),
    ("the_innermost_loop_may_be_left_out", "pu:8(indexes=2*4)", "0 4 1 5 2 6 3 7"),
    ("loops_outermost_first", "pu:8(indexes=4*2:1*4)", "0 2 4 6 1 3 5 7"),
]

REFUSED = [
    ("nothing", " ", "found nothing, wanted levels such as numa:2 core:4 pu:2"),
    ("no_pu", "numa:2 core:4", "character 8: found 'core:4', wanted pu (or a number) as the last level"),
    ("pu_not_last", "pu:2 core:4 2", "character 1: found 'pu:2', wanted pu as the last level only"),
    ("an_unknown_type", "numa:2 foo:2 pu:2", "character 8: found 'foo:2', wanted one of package, numanode, die, l1 to"),
    ("a_cache_without_a_level", "cache:2 pu:2", "character 1: found 'cache:2', wanted one of package"),
    ("one_letter", "p:2 pu:2", "character 1: found 'p:2', wanted one of package"),
    ("zero", "core:0 pu:2", "character 1: found 'core:0', wanted a level such as core:4, a number from 1 up or [numa]"),
    ("a_negative_number", "core:-1 pu:2", "character 1: found 'core:-1', wanted a level"),
    ("no_number", "core pu:2", "character 1: found 'core', wanted a level"),
    ("a_hexadecimal_number", "core:0x4 pu:2", "character 1: found 'core:0x4', wanted a level"),
    ("an_unclosed_attribute", "numa:2(memory=1GB pu:2", "character 1: found 'numa:2(memory=1GB', wanted a level"),
    ("an_attribute_of_the_machine", "(memory=1GB) pu:2", "character 1: found '(memory=1GB)', wanted a level"),
    ("too_many_cpus", "numa:8 core:2048 pu:8", "character 8: found 'core:2048', wanted at most 8192 units in all"),
    (
        "far_too_many_cpus",
        "numa:999999999 core:999999999 pu:2",
        "character 1: found 'numa:999999999', wanted at most 8192",
    ),
    ("a_number_beyond_all_reason", f"core:{'9' * 5000} pu:2", "character 1: found 'core:999"),
    ("too_many_nodes", "numa:2048 pu:1", "character 1: found 'numa:2048', wanted at most 1024 NUMA nodes"),
    ("too_many_levels", "group:1 " * 129 + "pu:1", "found 'group:1', wanted at most 8192 units in all, and 128 levels"),
    ("two_levels_of_cores", "core:2 core:2 pu:1", "character 8: found 'core:2', wanted only one level of core"),
    ("two_levels_of_nodes", "numa:2 node:2 pu:1", "character 8: found 'node:2', wanted only one level of numanode"),
    (
        "a_level_and_an_attached_node",
        "numa:2 [numa] pu:2",
        "character 8: found '[numa]', wanted only one level of numanode",
    ),
    ("two_levels_of_one_cache", "l3:2 l3u:2 pu:2", "character 6: found 'l3u:2', wanted only one level of l3 cache"),
    (
        "an_attached_core",
        "pack:2 [core] pu:2",
        "character 8: found '[core]', wanted [numa]: nothing else can be attached",
    ),
    ("numbers_among_types", "numa:2 3 pu:2", "character 8: found '3', wanted a type, as other levels have one"),
    ("memory_of_a_core", "core:2(memory=1GB) pu:2", "character 8: found 'memory=1GB)', wanted no attribute on core"),
    ("memory_of_a_cache", "l3:2(memory=1GB) pu:2", "character 6: found 'memory=1GB)', wanted size=... on cache"),
    ("an_unknown_attribute", "numa:2(speed=3) pu:2", "wanted memory=... or hugepages=... or indexes=... on numanode"),
    ("an_empty_attribute", "numa:2(memory=) pu:2", "character 8: found 'memory=)', wanted memory=..."),
    ("no_size", "numa:2(memory=big) pu:2", "character 8: found 'memory=big)', wanted a size such as 16GiB or 64GB"),
    ("no_size_of_a_cache", "l3:2(size=x) pu:2", "character 6: found 'size=x)', wanted a size such as"),
    ("huge_pages_without_a_count", "numa:2(hugepages=2MiB) pu:2", "wanted huge pages by size such as 2MiB:512,1GiB:4"),
    ("huge_pages_of_no_size", "numa:2(hugepages=0:5) pu:2", "wanted huge pages by size such as 2MiB:512,1GiB:4"),
    ("huge_pages_of_one_size_twice", "numa:2(hugepages=2MiB:1,2MiB:2) pu:2", "wanted huge pages by size"),
    (
        "too_few_indexes",
        "pu:4(indexes=0,1)",
        "character 6: found 'indexes=0,1)', wanted 4 different numbers below 8192",
    ),
    ("an_index_given_twice", "pu:2(indexes=1,1)", "wanted 2 different numbers below 8192 for pu"),
    ("an_empty_index", "pu:2(indexes=0,,1)", "wanted 2 different numbers below 8192 for pu"),
    ("an_index_too_large", "pu:2(indexes=0,8192)", "wanted 2 different numbers below 8192 for pu"),
    ("an_index_beyond_all_reason", f"pu:2(indexes=0,{'9' * 50})", "wanted 2 different numbers below 8192 for pu"),
    ("loops_that_do_not_fit", "pu:8(indexes=3*2)", "wanted loops over all 8 of pu"),
    ("loops_that_give_a_number_twice", "pu:4(indexes=1*2:1*2)", "wanted 4 different numbers below 8192 for pu"),
    ("a_loop_of_zero", "pu:8(indexes=0*2)", "wanted a list of numbers, loops such as 2*4:1*2 or types above pu"),
    ("a_type_that_is_not_above", "core:2 pu:2(indexes=pu)", "wanted a list of numbers, loops such as 2*4:1*2 or types"),
    (
        "a_type_named_twice",
        "core:2 pu:2(indexes=core:core)",
        "wanted a list of numbers, loops such as 2*4:1*2 or types",
    ),
    ("more_loops_than_levels", "pu:2(indexes=1*1" + ":1*1" * 200 + ")", "wanted a list of numbers, loops such as"),
]


def shape(host: Host) -> tuple[int, ...]:
    """Count CPUs, cores, dies, sockets, nodes and caches."""
    columns = zip(*((cpu.cpu, cpu.core, cpu.die, cpu.socket, cpu.node, cpu.cache) for cpu in host.cpus), strict=True)
    return tuple(len(set(column)) for column in columns)


@pytest.mark.parametrize(("text", "counts"), [row[1:] for row in SHAPES], ids=[row[0] for row in SHAPES])
def test_a_synthetic_host_has_the_shape_it_says(text: str, counts: tuple[int, ...]) -> None:
    host = parse_synthetic(text)
    assert shape(host) == counts
    assert [node.node for node in host.nodes] == sorted({cpu.node for cpu in host.cpus})


@pytest.mark.parametrize(("text", "numbers"), [row[1:] for row in NUMBERED], ids=[row[0] for row in NUMBERED])
def test_pus_are_numbered_as_hwloc_numbers_them(text: str, numbers: str) -> None:
    # Every core of two PUs, found by the CPUs it has: the list in the order of the PUs tells which.
    host = parse_synthetic(text.replace("pu:8", "core:4 pu:2"))
    listed = [int(number) for number in numbers.split()]
    pairs = {frozenset(listed[place : place + 2]) for place in range(0, len(listed), 2)}
    cores = {cpu.core for cpu in host.cpus}
    assert {frozenset(cpu.cpu for cpu in host.cpus if cpu.core == core) for core in cores} == pairs


@pytest.mark.parametrize(("text", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_cannot_be_understood_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_synthetic(text)
    assert str(refusal.value).startswith("synthetic host")
    assert message in str(refusal.value)
    assert len(str(refusal.value)) < 250


def test_a_huge_text_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="found 1000000 characters, wanted at most 65536"):
        parse_synthetic("x" * 1_000_000)


def test_a_machine_of_two_nodes_in_full() -> None:
    host = parse_synthetic("numa:2 core:1 pu:2")
    places = [(cpu.cpu, cpu.core, cpu.die, cpu.socket, cpu.node, cpu.cache) for cpu in host.cpus]
    assert places == [(0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0), (2, 1, 1, 1, 1, 1), (3, 1, 1, 1, 1, 1)]
    assert host.nodes == (
        Node(node=0, memory_bytes=16 * GIB, distances=((0, 10), (1, 20))),
        Node(node=1, memory_bytes=16 * GIB, distances=((0, 20), (1, 10))),
    )


def test_cores_are_numbered_in_the_order_of_their_lowest_cpu() -> None:
    host = parse_synthetic("pack:2 core:2 pu:2(indexes=pack:core)")
    assert [(cpu.cpu, cpu.core, cpu.socket) for cpu in host.cpus[:4]] == [(0, 0, 0), (1, 1, 1), (2, 2, 0), (3, 3, 1)]


def test_nodes_and_sockets_take_the_numbers_that_are_given() -> None:
    host = parse_synthetic("pack:2(indexes=5,3) numa:2(indexes=0,8,4,12) pu:1")
    assert [(cpu.cpu, cpu.socket, cpu.node) for cpu in host.cpus] == [(0, 5, 0), (1, 5, 8), (2, 3, 4), (3, 3, 12)]
    assert [node.node for node in host.nodes] == [0, 4, 8, 12]
    assert host.nodes[1].distances == ((0, 20), (4, 10), (8, 20), (12, 20))


@pytest.mark.parametrize(
    ("text", "memory_bytes"),
    [("16GiB", 16 * GIB), ("64GB", 64 * 10**9), ("512mib", GIB // 2), ("1TB", 10**12), ("4096", 4096), ("2kB", 2000)],
)
def test_memory_of_nodes_in_hwlocs_units(text: str, memory_bytes: int) -> None:
    host = parse_synthetic(f"pack:2 [numa(memory={text})] core:2 pu:1")
    assert [node.memory_bytes for node in host.nodes] == [memory_bytes, memory_bytes]


def test_huge_pages_of_nodes_are_free_and_ascend_by_size() -> None:
    host = parse_synthetic("numa:1(memory=8GiB hugepages=1GiB:4,2MiB:512) core:2 pu:1")
    assert host.nodes[0].huge_pages == (
        HugePages(size_bytes=2 << 20, total=512, free=512),
        HugePages(size_bytes=GIB, total=4, free=4),
    )


def test_an_exported_string_of_hwloc_is_understood() -> None:
    text = (
        "Package:2 [NUMANode(memory=67108864)] L3Cache:1(size=33554432) L2Cache:4(size=1048576) "
        "L1dCache:1(size=32768) L1iCache:1(size=32768) Core:1 PU:2(indexes=2*8:1*2)"
    )
    host = parse_synthetic(text)
    assert shape(host) == (16, 8, 2, 2, 2, 2)
    assert str(CPUSet.of(cpu.cpu for cpu in host.cpus if cpu.node == 0)) == "0-3,8-11"


COUNTS = st.integers(1, 4)


@settings(deadline=None)
@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_counts_multiply_from_left_to_right(packages: int, nodes: int, caches: int, cores: int, threads: int) -> None:
    host = parse_synthetic(f"pack:{packages} numa:{nodes} l3:{caches} core:{cores} pu:{threads}")
    in_nodes, in_caches = packages * nodes, packages * nodes * caches
    total = (in_caches * cores * threads, in_caches * cores, packages, packages, in_nodes, in_caches)
    assert shape(host) == total
    assert [cpu.cpu for cpu in host.cpus] == list(range(total[0]))


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
def test_any_interleaving_along_types_numbers_every_cpu_once(counts: list[int], data: st.DataObject) -> None:
    names = ["pack", "numa", "l3", "core"][: len(counts)]
    types = ":".join(data.draw(st.permutations(names)))
    words = [f"{name}:{count}" for name, count in zip(names, counts, strict=True)]
    host = parse_synthetic(f"{' '.join(words)} pu:2(indexes={types})")
    assert [cpu.cpu for cpu in host.cpus] == list(range(len(host.cpus)))


@settings(deadline=None)
@given(st.text(alphabet="packnumde:l123 ()[]=,*iGBxsu", max_size=40) | st.text(max_size=20))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        host = parse_synthetic(text)
    except UsageError as refusal:
        assert str(refusal).startswith("synthetic host")  # noqa: PT017
    else:
        assert 0 < len(host.cpus) <= 8192
