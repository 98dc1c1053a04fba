"""New CPUs for a few vCPUs while all others stay: the search that a replan makes.

It takes one mover after the other, in order of guest core, then the housekeeping. Of states that have the same
outcome only the best goes on, and after every turn only as many as the effort allows, the best ones. (To rank them by
bounds of what the rest costs was tried, and found nothing better on 450 random machines.)
"""

from __future__ import annotations

from msgspec.structs import replace

from launcher.planner.optimum.placement import Placement, place, scored
from launcher.planner.replan.states import CACHE_CROSSING, State, States
from launcher.planner.replan.vacancy import Vacancy, turns
from launcher.planner.terms import TERMS
from launcher.vmi.guest import Topology

# How many states are looked at in all, a tenth of a second; but after every turn at least so many go on.
_EFFORT = 8_000
_NARROWEST = 4


def resettle(vacancy: Vacancy, topology: Topology) -> Placement:
    """Choose the movers' and the housekeeping's CPUs, best by the score for the vCPUs that stay.

    First come vCPUs on the node of their cell, then movers on quiet CPUs and housekeeping on others, then the score,
    then housekeeping where it was, then low CPU numbers. Exact where the states are few enough for the effort, or where
    those that were left out cannot score better; the placement is sure of that.
    """
    state, is_least = _best(vacancy, topology)
    chosen, count = [vacancy.free[position] for position in state.chosen], len(vacancy.movers)
    vcpus = {**vacancy.kept, **dict(zip(vacancy.movers, chosen[:count], strict=True))}
    housekeeping = (*vacancy.fixed_housekeeping, *chosen[count:])
    found = scored(tuple(vcpus[vcpu] for vcpu in range(len(vcpus))), housekeeping, topology)
    if is_least or vacancy.kept or vacancy.home_nodes or vacancy.quiet:
        return replace(found, sure=len(TERMS) if is_least else 0)
    # No vCPU stays: as at the start.
    anew = place(vacancy.free, topology, vacancy.housekeeping)
    return found if found.score <= anew.score else anew


def _best(vacancy: Vacancy, topology: Topology) -> tuple[State, bool]:
    """Return the best last state that was found, and whether none that was left out can lead to a better score."""
    states, effort = States(vacancy, topology.threads), _EFFORT
    best = [states.first]
    left_out: list[int] = []
    order = [*turns(vacancy, topology), *[None] * vacancy.housekeeping]
    for number, turn in enumerate(order):
        found: dict[tuple[object, ...], State] = {}
        for further in (further for state in best for further in states.further(state, turn)):
            known = found.setdefault(further.outcome, further)
            if further[:2] < known[:2]:
                found[further.outcome] = further
        effort -= len(found)
        fan = -(-len(found) // len(best))
        width = max(_NARROWEST, effort // (len(order) - number) // fan)
        ranked = sorted(found.values(), key=lambda state: state[:2])
        best = ranked[:width]
        left_out += [state.price for state in ranked[width : width + 1]]
    return best[0], all(price // CACHE_CROSSING >= best[0].price // CACHE_CROSSING for price in left_out)
