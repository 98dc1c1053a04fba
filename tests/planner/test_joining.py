"""Nodes that share guest sockets: the bounded search by comparison with every grouping of a few nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from launcher.planner.candidates import Item
from launcher.planner.effort import Effort
from launcher.planner.joining import Joined, join_nodes, join_roughly
from launcher.planner.stock import Stock, Target, least
from launcher.vmi.guest import Topology

_STABLE = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@st.composite
def nodes_and_guests(draw: st.DrawFn) -> tuple[list[Stock], Topology]:
    """Draw up to four nodes, and a guest of up to four sockets that they can hold."""
    threads, cores = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    loose = st.integers(0, 3) if threads > 1 else st.just(0)
    stocks = draw(
        st.lists(
            st.builds(Stock, whole=st.integers(0, 5), whole_beside=st.integers(0, 1), loose=loose, loose_beside=loose),
            min_size=2,
            max_size=4,
        )
    )
    room = sum(threads * stock.wholes + stock.looses for stock in stocks) // (threads * cores)
    assume(room)
    return stocks, Topology(sockets=draw(st.integers(1, min(room, 4))), cores=cores, threads=threads)


@settings(_STABLE, max_examples=600)
@given(nodes_and_guests())
def test_no_grouping_crosses_or_uses_fewer_nodes(problem: tuple[list[Stock], Topology]) -> None:
    stocks, topology = problem
    items = _items(stocks)
    joined = join_nodes(items, topology, Effort(steps=100_000), len(stocks))
    assert joined is not None
    assert _crossings_and_nodes(joined) == min(_groupings(stocks, topology))


@settings(_STABLE, max_examples=300)
@given(nodes_and_guests())
def test_groups_found_one_by_one_are_bettered_until_none_crosses_or_uses_fewer_nodes(
    problem: tuple[list[Stock], Topology],
) -> None:
    stocks, topology = problem
    joined = join_roughly(_items(stocks), topology, Effort(steps=100_000))
    assert _crossings_and_nodes(joined) == min(_groupings(stocks, topology))


@settings(_STABLE, max_examples=300)
@given(nodes_and_guests(), st.integers(0, 30))
def test_a_grouping_found_with_little_effort_holds_the_guest_at_the_least_terms_before_4(
    problem: tuple[list[Stock], Topology], steps: int
) -> None:
    stocks, topology = problem
    joined = join_roughly(_items(stocks), topology, Effort(steps=steps))
    assert _crossings_and_nodes(joined) in set(_groupings(stocks, topology))


def _items(stocks: Sequence[Stock]) -> list[Item]:
    return [Item(node=node, caches=1, stock=stock) for node, stock in enumerate(stocks)]


def _crossings_and_nodes(joined: Sequence[Joined]) -> tuple[int, int]:
    return sum(len(group.items) - 1 for group in joined), sum(len(group.items) for group in joined)


def _groupings(stocks: Sequence[Stock], topology: Topology) -> Iterator[tuple[int, int]]:
    """Yield terms 4 and 5 of every way to put nodes into groups (0: into none) that has the least terms 1 to 3."""
    target = least(stocks, topology.sockets * topology.cores, topology.threads)
    for labels in _labels(len(stocks)):
        groups = [[s for s, own in zip(stocks, labels, strict=True) if own == label] for label in set(labels) - {0}]
        for sockets in product(range(1, topology.sockets + 1), repeat=len(groups)):
            if sum(sockets) == topology.sockets and target == _summed(groups, sockets, topology):
                yield sum(len(group) - 1 for group in groups), sum(len(group) for group in groups)


def _labels(count: int) -> Iterator[tuple[int, ...]]:
    """Number the group of each node, a new group with the next number."""
    if not count:
        yield ()
        return
    for before in _labels(count - 1):
        for label in range(max(before, default=0) + 2):
            yield (*before, label)


def _summed(groups: Sequence[Sequence[Stock]], sockets: Sequence[int], topology: Topology) -> Target | None:
    across = split = beside = 0
    for group, count in zip(groups, sockets, strict=True):
        guest_cores = count * topology.cores
        if sum(topology.threads * stock.wholes + stock.looses for stock in group) < guest_cores * topology.threads:
            return None
        target = least(group, guest_cores, topology.threads)
        across, split = across + target.cores_across_nodes, split + target.cores_split
        beside += target.vcpus_beside_housekeeping
    return Target(cores_across_nodes=across, cores_split=split, vcpus_beside_housekeeping=beside)
