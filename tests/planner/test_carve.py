"""Carving: groups that hold several guest sockets give them up one at a time, as far as the effort goes."""

from __future__ import annotations

import pytest

from launcher.planner.optimum.carve import carved
from launcher.planner.optimum.effort import Effort
from launcher.planner.optimum.supply import fine_areas, free_cores
from launcher.planner.optimum.survey import survey
from launcher.vmi.guest import Topology
from tests.planner.cases import regular_host


@pytest.mark.parametrize(
    ("steps", "groups"),
    [
        pytest.param(10_000, {((0, 1), 1), ((2, 3), 1), ((4, 5), 1)}, id="every guest socket on two caches"),
        pytest.param(0, {((0, 1, 2, 3, 4, 5), 3)}, id="no effort is left"),
    ],
)
def test_guest_sockets_are_carved_off_a_group(steps: int, groups: set[tuple[tuple[int, ...], int]]) -> None:
    host = regular_host(1, 6, 12, 1, interleaved=False)
    ground = survey(fine_areas(free_cores(host)), Topology(sockets=3, cores=4, threads=1), 0, {})
    assert ground is not None
    whole = ground.market.settle([(0, 1, 2, 3, 4, 5)])
    assert whole is not None
    assert set(carved(whole, ground, Effort(steps=steps)).groups) == groups
