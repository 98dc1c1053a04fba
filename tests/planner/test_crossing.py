"""Term 6 where guest sockets cross nodes and CPUs are spare, by comparison with every grouping of a few areas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple

from launcher.host.model import CPU
from launcher.planner.candidates import Item, outline
from launcher.planner.crossing import divide_across
from launcher.planner.division import Division, Group, divide, divide_across_nodes
from launcher.planner.effort import Effort
from launcher.planner.placement import place
from launcher.planner.stock import Stock, Target, by_node, least
from launcher.vmi.guest import Topology

_STABLE = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))

# Terms 4 to 6.
_Terms = tuple[int, int, int]


@st.composite
def areas_and_guests(draw: st.DrawFn) -> tuple[list[Item], Topology]:
    """Draw two to four nodes with up to six areas in all, and a guest of up to four sockets that they can hold."""
    threads, cores = draw(st.integers(1, 2)), draw(st.integers(2, 5))
    loose = st.integers(0, 3) if threads > 1 else st.just(0)
    stocks = st.builds(Stock, whole=st.integers(0, 4), whole_beside=st.integers(0, 1), loose=loose, loose_beside=loose)
    sizes = draw(st.lists(st.integers(1, 3), min_size=2, max_size=4).filter(lambda sizes: sum(sizes) <= 6))
    items = [Item(node=node, caches=1, stock=draw(stocks)) for node, size in enumerate(sizes) for _ in range(size)]
    room = sum(threads * item.stock.wholes + item.stock.looses for item in items) // (threads * cores)
    assume(room)
    return items, Topology(sockets=draw(st.integers(1, min(room, 4))), cores=cores, threads=threads)


@settings(_STABLE, max_examples=250)
@given(areas_and_guests())
def test_no_grouping_of_the_areas_crosses_fewer_caches(problem: tuple[list[Item], Topology]) -> None:
    items, topology = problem
    assume(not outline(items, topology).least_price)
    best = min(_terms_of_all(items, topology))
    found = divide_across(items, topology, best[0], best[1], Effort(steps=1_000_000))
    assert found is not None
    cache_crossings, groups = found
    assert cache_crossings == best[2]
    assert sum(group.low for group in groups) <= topology.sockets <= sum(group.high for group in groups)
    assert divide_across(items, topology, best[0], best[1], Effort(steps=1_000_000), below=best[2]) is None


@settings(_STABLE, max_examples=300)
@given(areas_and_guests(), st.integers(0, 3_000))
def test_groups_found_within_any_effort_hold_the_guest_as_promised(
    problem: tuple[list[Item], Topology], steps: int
) -> None:
    items, topology = problem
    assume(not outline(items, topology).least_price)
    whole_nodes = _as_whole_nodes(items, topology)
    division = divide_across_nodes(items, topology, whole_nodes.groups, whole_nodes.promise, Effort(steps=steps))
    if division is not None:
        terms = _terms(items, [(group.items, group.sockets) for group in division.groups], topology)
        assert terms is not None
        assert terms[:2] == division.promise[:2] == whole_nodes.promise[:2]
        assert terms[2] <= division.promise[2]


def _as_whole_nodes(items: Sequence[Item], topology: Topology) -> Division:
    """Divide the nodes, and name their areas."""
    stocks = by_node((item.node, item.stock) for item in items)
    division = divide([Item(node=node, caches=1, stock=stock) for node, stock in stocks.items()], topology)
    groups = tuple(
        Group(items=tuple(index for index, item in enumerate(items) if item.node in group.items), sockets=group.sockets)
        for group in division.groups
    )
    return Division(cost=division.cost, groups=groups)


def _terms_of_all(items: Sequence[Item], topology: Topology) -> Iterator[_Terms]:
    """Yield terms 4 to 6 of every way to put areas into groups (0: into none) that has the least terms 1 to 3."""
    for labels in _labels(len(items)):
        groups = [tuple(i for i, own in enumerate(labels) if own == label) for label in sorted(set(labels) - {0})]
        for sockets in product(range(1, topology.sockets + 1), repeat=len(groups)):
            if sum(sockets) == topology.sockets:
                terms = _terms(items, list(zip(groups, sockets, strict=True)), topology)
                if terms is not None:
                    yield terms


def _labels(count: int) -> Iterator[tuple[int, ...]]:
    """Number the group of each area, a new group with the next number."""
    if not count:
        yield ()
        return
    for before in _labels(count - 1):
        for label in range(max(before, default=0) + 2):
            yield (*before, label)


def _terms(items: Sequence[Item], groups: Sequence[tuple[tuple[int, ...], int]], topology: Topology) -> _Terms | None:
    """Count terms 4 to 6 of the groups with their sockets; None where terms 1 to 3 are not the least."""
    nodes = by_node((item.node, item.stock) for item in items).values()
    sums = [0, 0, 0]
    for group, sockets in groups:
        target = _least(items, group, sockets * topology.cores, topology.threads)
        if target is None:
            return None
        sums = [before + term for before, term in zip(sums, astuple(target), strict=True)]
    if tuple(sums) != astuple(least(nodes, topology.sockets * topology.cores, topology.threads)):
        return None
    used = [{items[index].node for index in group} for group, _ in groups]
    crossings = sum(len(nodes) - 1 for nodes in used)
    return crossings, len(set().union(*used)), sum(len(group) - 1 for group, _ in groups)


def _least(items: Sequence[Item], group: Sequence[int], guest_cores: int, threads: int) -> Target | None:
    stocks = by_node((items[index].node, items[index].stock) for index in group).values()
    if sum(threads * stock.wholes + stock.looses for stock in stocks) < guest_cores * threads:
        return None
    return least(stocks, guest_cores, threads)


# Free cores of each cache, by node.
_Cores = tuple[tuple[int, ...], ...]


def _host(cores: _Cores, threads: int) -> list[CPU]:
    """Build a host with these cores."""
    places = [
        (node, cache) for node, caches in enumerate(cores) for cache, count in enumerate(caches) for _ in range(count)
    ]
    return [
        CPU(cpu=threads * core + thread, core=core, die=node, socket=node, node=node, cache=8 * node + cache)
        for core, (node, cache) in enumerate(places)
        for thread in range(threads)
    ]


# Each row's score is the least: an integer program says so, which knows nothing of groups.
@pytest.mark.parametrize(
    ("cores", "threads", "guest", "housekeeping", "expected"),
    [
        pytest.param(
            ((8, 7, 3, 2, 8, 1), (6, 6, 2, 8, 5, 4), (8, 1, 1, 8, 2, 7)),
            2,
            Topology(sockets=1, cores=40, threads=2),
            1,
            (0, 0, 0, 1, 2, 5),
            id="one socket takes the largest caches of two nodes",
        ),
        pytest.param(
            ((8, 7, 6), (5, 5, 4, 6), (8, 6, 7)),
            2,
            Topology(sockets=2, cores=30, threads=2),
            0,
            (0, 0, 0, 2, 3, 8),
            id="two sockets share a node and none of its caches",
        ),
        pytest.param(
            ((8, 8, 7), (8, 8, 6), (8, 8, 5), (9, 10, 12)),
            1,
            Topology(sockets=3, cores=32, threads=1),
            0,
            (0, 0, 0, 3, 4, 9),
            id="three sockets share a node and none of its caches",
        ),
        pytest.param(
            ((8, 7, 6, 3), (5, 5, 4, 6), (8, 6, 7, 1), (8, 7, 8, 2)),
            1,
            Topology(sockets=3, cores=28, threads=1),
            2,
            (0, 0, 0, 3, 4, 10),
            id="the housekeeping takes what the best groups leave",
        ),
        pytest.param(
            ((2, 3), (2, 3), (3, 3), (4, 2)),
            1,
            Topology(sockets=4, cores=3, threads=1),
            2,
            (0, 0, 0, 0, 2, 1),
            id="the housekeeping leaves the two nodes that hold the guest alone",
        ),
    ],
)
def test_known_machines_get_the_least_score(
    cores: _Cores, threads: int, guest: Topology, housekeeping: int, expected: tuple[int, ...]
) -> None:
    assert astuple(place(_host(cores, threads), guest, housekeeping).score) == expected
