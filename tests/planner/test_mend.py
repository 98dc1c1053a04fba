"""Mending: groups that hold several guest sockets give them up one at a time."""

from __future__ import annotations

from launcher.planner.optimum.mend import mended
from launcher.planner.optimum.supply import fine_areas, free_cores
from launcher.planner.optimum.survey import survey
from launcher.vmi.guest import Topology
from tests.planner.cases import regular_host


def test_guest_sockets_are_carved_off_a_group() -> None:
    host = regular_host(1, 6, 12, 1, interleaved=False)
    ground = survey(fine_areas(free_cores(host)), Topology(sockets=3, cores=4, threads=1), 0, {})
    assert ground is not None
    whole = ground.market.settle([(0, 1, 2, 3, 4, 5)])
    assert whole is not None
    # Every guest socket is on two caches.
    assert set(mended(whole, ground).groups) == {((0, 1), 1), ((2, 3), 1), ((4, 5), 1)}
