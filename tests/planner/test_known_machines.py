"""Machines whose best score an integer program has found, which knows nothing of groups."""

from __future__ import annotations

import pytest
from msgspec.structs import astuple

from launcher.host.model import CPU
from launcher.planner.optimum.placement import place
from launcher.vmi.guest import Topology

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
