"""Caps: guest sockets shared out among groups so that no node carries more than it may."""

from __future__ import annotations

import pytest

from launcher.host.model import CPU
from launcher.planner.optimum.caps import Part, shared, trimmed
from launcher.planner.optimum.placement import place_within
from launcher.planner.optimum.stock import Stock
from launcher.planner.optimum.supply import fine_areas, free_cores
from launcher.planner.optimum.survey import survey
from launcher.planner.terms import values
from launcher.vmi.guest import Topology
from tests.planner.cases import regular_host


def _parts(*can: dict[int, int]) -> list[dict[int, Part]]:
    return [{node: Part(can=cpus) for node, cpus in own.items()} for own in can]


def test_a_group_moves_to_its_other_node_where_another_one_has_no_other() -> None:
    parts = _parts({0: 8, 1: 8}, {0: 8})
    assert shared([(1, 1), (1, 1)], parts, {0: 8, 1: 8}, Topology(sockets=2, cores=8, threads=1)) == [1, 1]
    assert [{node: part.taken for node, part in own.items()} for own in parts] == [{0: 0, 1: 8}, {0: 8}]


def test_a_group_gets_more_guest_sockets_as_far_as_its_node_may_carry_them() -> None:
    parts, guest = _parts({0: 12}, {1: 12}), Topology(sockets=4, cores=4, threads=1)
    assert shared([(1, 3), (1, 3)], parts, {0: 4}, guest) == [1, 3]
    assert shared([(1, 3), (1, 3)], _parts({0: 12}, {1: 12}), {0: 4, 1: 8}, guest) is None


def test_what_must_be_used_is_not_moved_away() -> None:
    parts = [{0: Part(must=4, can=8), 1: Part(can=8)}, {0: Part(can=8)}]
    assert shared([(1, 1), (1, 1)], parts, {0: 8, 1: 8}, Topology(sockets=2, cores=8, threads=1)) is None


def test_loose_cpus_beside_housekeeping_go_first_and_those_of_the_last_area() -> None:
    stocks = {3: Stock(whole=2, loose=1), 4: Stock(whole=2, loose_beside=1)}
    assert dict(trimmed(stocks, 6, threads=2)) == {3: Stock(whole=2), 4: Stock(whole=1)}


def _node_counts(cpus: tuple[CPU, ...]) -> dict[int, int]:
    return {node: sum(cpu.node == node for cpu in cpus) for node in {cpu.node for cpu in cpus}}


@pytest.mark.parametrize(
    ("most", "topology", "housekeeping", "counts", "expected"),
    [
        pytest.param({0: 0}, Topology(sockets=1, cores=4, threads=1), 2, {1: 4}, (0, 0, 0, 0, 1, 0), id="shut"),
        pytest.param({0: 2}, Topology(sockets=2, cores=3, threads=2), 0, {1: 12}, (0, 0, 0, 0, 1, 0), id="avoided"),
        pytest.param(
            {0: 4, 1: 6}, Topology(sockets=2, cores=5, threads=2), 1, {0: 8, 1: 12}, (0, 0, 0, 1, 2, 2), id="both full"
        ),
    ],
)
def test_nodes_carry_no_more_guest_cores_than_they_may(
    most: dict[int, int],
    topology: Topology,
    housekeeping: int,
    counts: dict[int, int],
    expected: tuple[int, ...],
) -> None:
    placement = place_within(regular_host(2, 2, 8, 2, interleaved=False), topology, housekeeping, most)
    assert placement is not None
    assert (_node_counts(placement.vcpus), values(placement.score)) == (counts, expected)


def test_what_no_node_may_carry_is_not_placed() -> None:
    host = regular_host(2, 2, 8, 2, interleaved=False)
    assert place_within(host, Topology(sockets=1, cores=6, threads=2), 0, {0: 2, 1: 3}) is None
    # With a cap no guest core lies on two nodes.
    assert place_within([host[0], host[16]], Topology(sockets=1, cores=1, threads=2), 0, {0: 8}) is None


def test_housekeeping_leaves_a_node_what_it_needs_to_be_full_where_some_of_its_areas_are_idle() -> None:
    cpus = [cpu for cpu in regular_host(2, 2, 6, 2, interleaved=False) if cpu.cpu not in {13, 19, 21, 23}]
    ground = survey(fine_areas(free_cores(cpus)), Topology(sockets=1, cores=4, threads=2), 3, {0: 2})
    assert ground is not None
    assert ground.caps.full == {0}
    settled = ground.market.settle([(0, 2, 3)])
    assert settled is not None
    assert settled.kept == {0: Stock(whole=1)}
