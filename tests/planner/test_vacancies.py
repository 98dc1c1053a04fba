"""The search for better CPUs for movers, by comparison with every choice."""

from __future__ import annotations

from itertools import combinations, permutations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from launcher.host.model import CPU
from launcher.planner.model import Score
from launcher.planner.optimum.effort import Effort
from launcher.planner.score import score
from launcher.planner.vacancies import Choice, VacancySearch
from launcher.vmi.guest import Topology
from tests.planner.cases import Case, cases

_STABLE = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))


class Vacant(Struct, frozen=True, kw_only=True):
    """A guest some of whose vCPUs need another CPU, the free ones, and a choice of them to begin with."""

    case: Case
    kept: dict[int, CPU]
    movers: tuple[int, ...]
    free: tuple[CPU, ...]
    start: Choice

    def score(self, choice: Choice) -> Score:
        """Score the guest with this choice."""
        count = len(self.movers)
        placed = self.kept | dict(zip(self.movers, choice[:count], strict=True))
        return score([placed[vcpu] for vcpu in range(len(placed))], self.case.topology, choice[count:])

    def choices(self) -> list[Choice]:
        """List every choice; the housekeeping is a set."""
        return [
            (*moved, *housekeeping)
            for moved in permutations(self.free, len(self.movers))
            for housekeeping in combinations([cpu for cpu in self.free if cpu not in moved], self.case.housekeeping)
        ]

    def bettered(self, steps: int) -> Choice:
        """Search with so much effort."""
        return VacancySearch(
            kept=self.kept,
            movers=self.movers,
            housekeeping=self.case.housekeeping,
            fixed_housekeeping=(),
            home_nodes={},
            topology=self.case.topology,
            distinct=lambda taken: [cpu for cpu in self.free if cpu not in taken],
            effort=Effort(steps=steps),
        ).bettered(self.start)


@st.composite
def vacant_guests(draw: st.DrawFn) -> Vacant:
    """Draw a guest placed anyhow, with up to three movers, and at most seven free CPUs."""
    case = draw(cases(most_threads=4, most_cpus=10, largest_spare=4))
    vcpus = list(range(case.topology.vcpus))
    movers = tuple(sorted(draw(st.lists(st.sampled_from(vcpus), min_size=1, max_size=3, unique=True))))
    kept = {vcpu: case.cpus[vcpu] for vcpu in vcpus if vcpu not in movers}
    free = tuple(cpu for cpu in case.cpus if cpu not in kept.values())[:7]
    case = Case(cpus=case.cpus, topology=case.topology, housekeeping=min(case.housekeeping, len(free) - len(movers)))
    start = free[: len(movers) + case.housekeeping]
    return Vacant(case=case, kept=kept, movers=movers, free=free, start=start)


@settings(_STABLE, max_examples=400)
@given(vacant_guests())
def test_no_choice_scores_better(vacant: Vacant) -> None:
    found = vacant.bettered(1_000_000)
    assert len(set(found)) == len(vacant.start)
    assert vacant.score(found) == min(vacant.score(choice) for choice in vacant.choices())


@settings(_STABLE, max_examples=200)
@given(vacant_guests(), st.integers(0, 20))
def test_little_effort_finds_nothing_worse_than_the_start(vacant: Vacant, steps: int) -> None:
    assert vacant.score(vacant.bettered(steps)) <= vacant.score(vacant.start)


def test_of_equal_choices_the_start_is_kept() -> None:
    cpus = tuple(CPU(cpu=cpu, core=cpu, die=0, socket=0, node=0, cache=0) for cpu in range(4))
    case = Case(cpus=cpus, topology=Topology(sockets=1, cores=2, threads=1), housekeeping=0)
    vacant = Vacant(case=case, kept={0: cpus[0]}, movers=(1,), free=cpus[1:], start=(cpus[3],))
    assert vacant.bettered(100) == (cpus[3],)
