"""The planner's score is the least there is, by comparison with an exhaustive search."""

from __future__ import annotations

from itertools import combinations, islice, permutations

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import astuple

from launcher.host.model import CPU
from launcher.planner.bounds import least_terms
from launcher.planner.model import Score
from launcher.planner.optimum.placement import place
from launcher.planner.terms import score, values
from launcher.vmi.guest import Topology
from tests.planner.cases import Case, cases, cases_of_many_caches, largest_cases, regular_host, spanning_cases
from tests.planner.exhaustive import best_score

# Derandomized, so that a commit is never red for another commit's bug; without a deadline, for no test is timed.
_STABLE = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@settings(_STABLE, max_examples=1000)
@given(cases(most_threads=2, most_cpus=10))
def test_no_placement_scores_better_on_hosts_with_up_to_two_threads(case: Case) -> None:
    _assert_optimal(case)


@settings(_STABLE, max_examples=3)
@given(largest_cases())
def test_no_placement_scores_better_for_guests_of_eighteen_vcpus(case: Case) -> None:
    _assert_optimal(case)


@settings(_STABLE, max_examples=150)
@given(cases_of_many_caches())
def test_no_placement_scores_better_on_nodes_of_many_caches(case: Case) -> None:
    _assert_optimal(case)


@settings(_STABLE, max_examples=300)
@given(spanning_cases())
def test_no_placement_scores_better_where_caches_span_nodes(case: Case) -> None:
    _assert_optimal(case)


@settings(_STABLE, max_examples=750)
@given(cases(most_threads=4, most_cpus=8))
def test_no_placement_scores_better_on_hosts_with_up_to_four_threads(case: Case) -> None:
    _assert_optimal(case)


def _assert_optimal(case: Case) -> None:
    placement = place(case.cpus, case.topology, case.housekeeping)
    used = [*placement.vcpus, *placement.housekeeping]
    assert len(set(used)) == case.topology.vcpus + case.housekeeping
    assert set(used) <= set(case.cpus)
    assert placement.score == score(placement.vcpus, case.topology, placement.housekeeping)
    assert placement.score == best_score(case.cpus, case.topology, case.housekeeping)
    least = least_terms(case.cpus, case.topology, case.housekeeping, placement.score)
    assert all(value >= bound for value, bound in zip(values(placement.score), least, strict=True))


@settings(_STABLE, max_examples=100)
@given(cases(most_threads=4, most_cpus=16))
def test_placement_does_not_depend_on_the_order_of_the_cpus(case: Case) -> None:
    backwards = tuple(sorted(case.cpus, key=lambda cpu: cpu.cpu, reverse=True))
    assert place(case.cpus, case.topology, case.housekeeping) == place(backwards, case.topology, case.housekeeping)


@pytest.mark.parametrize(
    ("topology", "housekeeping"),
    [
        pytest.param(Topology(sockets=2, cores=1, threads=2), 1, id="two sockets of one SMT core and an emulator"),
        pytest.param(Topology(sockets=1, cores=2, threads=2), 0, id="one socket of two SMT cores"),
        pytest.param(Topology(sockets=2, cores=2, threads=1), 1, id="two sockets of two cores and an emulator"),
        pytest.param(Topology(sockets=1, cores=1, threads=3), 2, id="one core of three threads"),
    ],
)
def test_exhaustive_search_agrees_with_every_permutation(topology: Topology, housekeeping: int) -> None:
    host = regular_host(2, 2, 2, 2, interleaved=False)
    for free in islice(combinations(host, 6), 0, None, 4):
        assert best_score(free, topology, housekeeping) == _by_permutation(free, topology, housekeeping)


def _by_permutation(free: tuple[CPU, ...], topology: Topology, housekeeping: int) -> Score:
    needed = topology.vcpus + housekeeping
    return min(
        score(order[: topology.vcpus], topology, order[topology.vcpus :]) for order in permutations(free, needed)
    )


@pytest.mark.parametrize(
    ("cores", "numbers", "housekeeping", "expected"),
    [
        pytest.param(4, (5, 6, 9, 11, 12, 13, 14, 16, 18, 19, 21, 23), 0, (2, 4, 0, 2, 3, 4), id="twelve CPUs"),
        pytest.param(3, (0, 1, 2, 5, 7, 9, 10, 11, 12, 13, 14, 15, 16), 1, (1, 4, 0, 2, 3, 4), id="an emulator, too"),
    ],
)
def test_guest_cores_of_three_threads_on_three_areas_are_placed_one_cpu_after_the_other(
    cores: int, numbers: tuple[int, ...], housekeeping: int, expected: tuple[int, ...]
) -> None:
    host = regular_host(3, 2, cores, 2, interleaved=False)
    placement = place([host[number] for number in numbers], Topology(sockets=2, cores=2, threads=3), housekeeping)
    assert astuple(placement.score) == expected


@pytest.mark.parametrize(
    ("nodes", "caches", "cores", "topology", "housekeeping"),
    [
        pytest.param(8, 8, 32, Topology(sockets=8, cores=8, threads=2), 2, id="eight nodes of eight caches"),
        pytest.param(16, 1, 8, Topology(sockets=16, cores=4, threads=2), 2, id="sixteen nodes"),
        pytest.param(8, 1, 16, Topology(sockets=4, cores=16, threads=1), 20, id="a large pool"),
        pytest.param(2, 4, 32, Topology(sockets=7, cores=3, threads=3), 1, id="many guest cores of three threads"),
    ],
)
def test_large_fragmented_hosts_get_distinct_cpus_in_bounded_searches(
    nodes: int, caches: int, cores: int, topology: Topology, housekeeping: int
) -> None:
    host = regular_host(nodes, caches, cores, 2, interleaved=False)
    # Every CPU but those at the multiples of seven and those of a prime pattern: uneven nodes and caches.
    free = [cpu for cpu in host if cpu.cpu % 7 and cpu.cpu % 11 != cpu.node % 11]
    needed = topology.vcpus + housekeeping
    for cpus in (free[:needed], free):
        placement = place(cpus, topology, housekeeping)
        assert len({*placement.vcpus, *placement.housekeeping}) == needed
        assert {*placement.vcpus, *placement.housekeeping} <= set(cpus)


def test_sixteen_nodes_that_all_differ_share_as_few_sockets_as_can_be() -> None:
    # Node n has 17 + n free CPUs; with a guest socket of 48 the pairs (0, 15-n) make one socket each.
    host = regular_host(16, 1, 40, 1, interleaved=False)
    free = [cpu for cpu in host if cpu.core % 40 < (17 + cpu.node if cpu.node < 8 else 48 - 17 - (15 - cpu.node))]
    for cpus in (free, [*free, host[39]]):
        placement = place(cpus, Topology(sockets=8, cores=48, threads=1), 0)
        assert (placement.score.node_crossings, placement.score.nodes_used) == (8, 16)
