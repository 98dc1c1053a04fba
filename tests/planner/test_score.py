"""The score of placements that are easy to judge by eye."""

from __future__ import annotations

import pytest

from launcher.planner.model import Score
from launcher.planner.terms import score
from launcher.vmi.guest import Topology
from tests.planner.cases import regular_host

# Two nodes of two caches of one core of two threads: CPUs 0-1 and 2-3 on node 0, 4-5 and 6-7 on node 1.
_HOST = regular_host(2, 2, 2, 2, interleaved=False)


@pytest.mark.parametrize(
    ("cpus", "topology", "housekeeping", "expected"),
    [
        pytest.param((0, 1), Topology(threads=2), (), (0, 0, 0, 0, 1, 0), id="a whole guest core on one core"),
        pytest.param((1, 2), Topology(threads=2), (), (0, 1, 0, 0, 1, 1), id="a guest core over two cores"),
        pytest.param((3, 4), Topology(threads=2), (), (1, 1, 0, 1, 2, 1), id="a guest core over two nodes"),
        pytest.param((0, 4), Topology(sockets=2), (), (0, 0, 0, 0, 2, 0), id="a socket on each node"),
        pytest.param((0, 4), Topology(cores=2), (), (0, 0, 0, 1, 2, 1), id="one socket over two nodes"),
        pytest.param((0, 2), Topology(cores=2), (1, 4), (0, 0, 1, 0, 1, 1), id="a vCPU beside the emulator"),
        pytest.param((0, 1), Topology(threads=2), (2, 3), (0, 0, 0, 0, 1, 0), id="an emulator on a core of its own"),
    ],
)
def test_score_counts_each_term(
    cpus: tuple[int, ...], topology: Topology, housekeeping: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    found = score([_HOST[cpu] for cpu in cpus], topology, [_HOST[cpu] for cpu in housekeeping])
    assert found == Score(
        cores_across_nodes=expected[0],
        cores_split=expected[1],
        vcpus_beside_housekeeping=expected[2],
        node_crossings=expected[3],
        nodes_used=expected[4],
        cache_crossings=expected[5],
    )
