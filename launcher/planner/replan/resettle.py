"""New CPUs for a few vCPUs while all others stay."""

from __future__ import annotations

from launcher.planner.optimum.placement import Placement, place, settled_in_turns
from launcher.planner.optimum.vacancy import Vacancy
from launcher.vmi.guest import Topology


def resettle(vacancy: Vacancy, topology: Topology) -> Placement:
    """Choose the movers' and the housekeeping's CPUs, best by the score for the vCPUs that stay.

    First come vCPUs on the node of their cell, then movers on quiet CPUs and housekeeping on others, then the score,
    then movers on the nodes of the guest's devices, then housekeeping where it was, then low CPU numbers. Exact where
    the states are few enough for the effort, or where those that were left out cannot score better; the placement is
    sure of that.
    """
    found = settled_in_turns(vacancy, topology)
    if found is None:
        raise AssertionError("there is a free CPU for every mover")
    if found.sure or vacancy.kept or vacancy.home_nodes or vacancy.quiet:
        return found
    # No vCPU stays: as at the start.
    anew = place(vacancy.free, topology, vacancy.housekeeping)
    return found if found.score <= anew.score else anew
