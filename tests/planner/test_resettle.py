"""New CPUs for movers, by comparison with every choice."""

from __future__ import annotations

from itertools import combinations, permutations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.host.model import CPU
from launcher.planner.model import Score
from launcher.planner.optimum.placement import Placement
from launcher.planner.optimum.vacancy import Vacancy
from launcher.planner.replan.replan import resettle
from launcher.planner.terms import TERMS, score
from tests.planner.cases import Case, cases

_STABLE = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
# What is compared, in this order: vCPUs away from the node of their cell, the score, housekeeping that moves, numbers.
_Merit = tuple[int, Score, int, tuple[int, ...]]


class Vacant(Struct, frozen=True, kw_only=True):
    """A guest some of whose vCPUs need another CPU."""

    case: Case
    vacancy: Vacancy

    def found(self) -> Placement:
        """Choose new CPUs."""
        return resettle(self.vacancy, self.case.topology)

    def merit(self, vcpus: tuple[CPU, ...], housekeeping: tuple[CPU, ...]) -> _Merit:
        """Say how good this choice is."""
        homes, preferred = self.vacancy.home_nodes, self.vacancy.preferred
        return (
            sum(vcpus[vcpu].node != node for vcpu, node in homes.items()),
            score(vcpus, self.case.topology, housekeeping),
            sum(cpu.cpu not in preferred for cpu in housekeeping),
            (*(vcpus[vcpu].cpu for vcpu in self.vacancy.movers), *(cpu.cpu for cpu in housekeeping)),
        )

    def best(self) -> _Merit:
        """Try every choice; the housekeeping is a set."""
        kept, movers, free = self.vacancy.kept, self.vacancy.movers, self.vacancy.free
        return min(
            self.merit(tuple(placed[vcpu] for vcpu in range(len(placed))), housekeeping)
            for moved in permutations(free, len(movers))
            for placed in [{**kept, **dict(zip(movers, moved, strict=True))}]
            for housekeeping in combinations([cpu for cpu in free if cpu not in moved], self.vacancy.housekeeping)
        )


@st.composite
def vacant_guests(draw: st.DrawFn) -> Vacant:
    """Draw a guest placed anyhow, with up to three movers, and at most seven free CPUs."""
    case = draw(cases(most_threads=4, most_cpus=10, largest_spare=4))
    vcpus = list(range(case.topology.vcpus))
    movers = tuple(sorted(draw(st.lists(st.sampled_from(vcpus), min_size=1, max_size=3, unique=True))))
    kept = {vcpu: case.cpus[vcpu] for vcpu in vcpus if vcpu not in movers}
    free = tuple(cpu for cpu in case.cpus if cpu not in kept.values())[:7]
    homes = draw(st.dictionaries(st.sampled_from(vcpus), st.integers(0, 2))) if draw(st.booleans()) else {}
    vacancy = Vacancy(
        kept=kept,
        movers=movers,
        free=tuple(sorted(free, key=lambda cpu: cpu.cpu)),
        housekeeping=min(case.housekeeping, len(free) - len(movers)),
        fixed_housekeeping=(),
        preferred=CPUSet.of(draw(st.frozensets(st.sampled_from([cpu.cpu for cpu in free])))),
        quiet=CPUSet(),
        home_nodes=homes,
    )
    return Vacant(case=case, vacancy=vacancy)


@settings(_STABLE, max_examples=600)
@given(vacant_guests())
def test_no_choice_is_better(vacant: Vacant) -> None:
    found = vacant.found()
    assert vacant.merit(found.vcpus, found.housekeeping) == vacant.best()
    assert found.sure == len(TERMS)
