"""The planner before an independent judge, an integer program: a sample of what `make judge` runs whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import astuple

from launcher.host.model import CPU
from launcher.planner.bounds import least_terms
from launcher.planner.model import Score
from launcher.planner.optimum.placement import Placement, place
from launcher.planner.terms import TERMS, proof_explained, proof_of, values
from launcher.vmi.guest import Topology
from tests.planner.cases import Case
from tests.planner.judge import Verdict, judge
from tests.planner.machines import MACHINES, Machine, random_case, random_paged_case

_RECORD = Path(__file__).with_name("scores-585dc6d.txt")


@pytest.mark.parametrize("number", range(20_000, 20_030))
def test_an_integer_program_finds_nothing_better(number: int) -> None:
    machine, case = random_case(number)
    placement = place(case.cpus, case.topology, case.housekeeping)
    verdict, terms = judge(case.cpus, case.topology, case.housekeeping, placement.score, seconds=1)
    assert verdict is not Verdict.BEATEN, f"{machine.name}: {terms}"


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_no_score_is_worse_than_that_of_the_planner_before(first: int) -> None:
    record = _RECORD.read_text().splitlines()
    for number in range(first, first + 50):
        _, case = random_case(number)
        score = place(case.cpus, case.topology, case.housekeeping).score
        assert values(score) <= tuple(int(value) for value in record[number].split()), number


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        pytest.param(4461, (0, 16, 0, 6, 8, 18), id="8 of 16 nodes, less than on record"),
        pytest.param(7793, (0, 15, 0, 7, 8, 20), id="8 of 16 nodes beside housekeeping, less than on record"),
        pytest.param(9020, (0, 8, 0, 5, 6, 7), id="one guest socket on 6 of 16 nodes"),
    ],
)
def test_of_many_sets_of_nodes_those_are_looked_at_whose_caches_hold_most(
    number: int, expected: tuple[int, ...]
) -> None:
    _, case = random_case(number)
    assert values(place(case.cpus, case.topology, case.housekeeping).score) <= expected


@pytest.mark.parametrize("number", [1019, 1827, 8430, 8682, 8750, 9085, 9734])
def test_what_a_search_along_lines_left_worse_than_on_record_is_as_good(number: int) -> None:
    _, case = random_case(number)
    record = _RECORD.read_text().splitlines()[number].split()
    assert values(place(case.cpus, case.topology, case.housekeeping).score) <= tuple(int(value) for value in record)


@pytest.mark.parametrize("number", range(300, 400))
def test_no_term_is_less_than_its_bound_and_what_is_called_optimal_has_no_gap(number: int) -> None:
    _, case = random_case(number)
    placement = place(case.cpus, case.topology, case.housekeeping)
    least = least_terms(case.cpus, case.topology, case.housekeeping, placement.score)
    assert all(value >= bound for value, bound in zip(values(placement.score), least, strict=True))
    assert proof_of(placement.score, least, len(TERMS)).optimal
    proof = proof_of(placement.score, least, 0)
    assert proof.optimal == (values(placement.score) == least)


def paged_placement(number: int) -> Placement:
    """Return where the guest of a case with short pages is placed, for which there is room in each."""
    _, paged = random_paged_case(number)
    placement = paged.placement()
    assert placement is not None
    return placement


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        pytest.param(13, (0, 0, 0, 2, 4, 4), id="Genoa NPS4, nine housekeeping CPUs"),
        pytest.param(23, (0, 0, 0, 3, 4, 1), id="SNC2, every node used"),
    ],
)
def test_housekeeping_stays_off_the_vcpus_cores_where_pages_are_short(number: int, expected: tuple[int, ...]) -> None:
    placement = paged_placement(number)
    assert values(placement.score) <= expected


@pytest.mark.parametrize(
    ("number", "crossings"),
    [
        pytest.param(7, 24, id="16x4"),
        pytest.param(28, 19, id="EPYC 8x8"),
        pytest.param(80, 6, id="Genoa NPS4"),
        pytest.param(181, 17, id="Genoa NPS4, a node filled beside eight housekeeping CPUs"),
        pytest.param(226, 13, id="Genoa NPS1, three guest sockets on two nodes"),
        pytest.param(251, 15, id="EPYC 8x8, two guest sockets on five nodes"),
        pytest.param(350, 12, id="ARM 2x16, each guest socket on the largest caches"),
    ],
)
def test_nodes_short_of_pages_keep_their_largest_caches(number: int, crossings: int) -> None:
    placement = paged_placement(number)
    assert placement.score.cache_crossings <= crossings


def test_a_placement_with_all_that_the_pages_allow_is_proved() -> None:
    _, paged = random_paged_case(17)
    placement, case = paged.placement(), paged.case
    assert placement is not None
    least = least_terms(case.cpus, case.topology, case.housekeeping, placement.score, paged.most_cores)
    assert least == values(placement.score)
    without = least_terms(case.cpus, case.topology, case.housekeeping, placement.score)
    assert without < least


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        pytest.param(45, (0, 0, 0, 3, 4, 12), id="EPYC 8x4, five housekeeping CPUs"),
        pytest.param(46, (0, 38, 0, 2, 3, 18), id="ARM 4x8"),
        pytest.param(58, (0, 0, 0, 1, 2, 7), id="Genoa NPS1, eight housekeeping CPUs"),
        pytest.param(98, (0, 32, 0, 1, 2, 17), id="ARM 2x16"),
        pytest.param(112, (0, 0, 0, 1, 6, 9), id="EPYC 8x4, an emulator"),
        pytest.param(115, (0, 0, 0, 1, 3, 0), id="SNC2, seven housekeeping CPUs"),
    ],
)
def test_caches_are_chosen_with_the_guest_cores_of_nodes_short_of_pages(number: int, expected: tuple[int, ...]) -> None:
    placement = paged_placement(number)
    assert values(placement.score) <= expected


@pytest.mark.parametrize("number", [1, 8, 17, 24])
def test_an_integer_program_finds_nothing_better_where_pages_are_short(number: int) -> None:
    machine, paged = random_paged_case(number)
    placement = paged.placement()
    assert placement is not None
    case = paged.case
    verdict, terms = judge(
        case.cpus, case.topology, case.housekeeping, placement.score, seconds=2, most_cores=paged.most_cores
    )
    assert verdict is not Verdict.BEATEN, f"{machine.name}: {terms}"


def _host(nodes: int, caches: int, cores: int) -> list[CPU]:
    """Build a host of single-threaded cores."""
    return [
        CPU(
            cpu=core,
            core=core,
            die=0,
            socket=0,
            node=core // (caches * cores),
            cache=core // cores,
        )
        for core in range(nodes * caches * cores)
    ]


# Cases that the planner missed before it was one search, each on one node of sixteen clusters of four cores.
@pytest.mark.parametrize(
    ("numbers", "topology", "housekeeping", "expected"),
    [
        pytest.param(
            (1, 2, 8, 11, 12, 13, 14, 15, 19, 21, 22, 25, 27, 29, 34, 38, 42, 44, 48, 49, 50, 61, 62, 63),
            Topology(sockets=1, cores=6, threads=1),
            0,
            (0, 0, 0, 0, 1, 1),
            id="one cache is crossed, not two",
        ),
        pytest.param(
            (
                *(1, 2, 3, 4, 6, 13, 15, 17, 19, 22, 23, 24, 26, 27, 28, 29, 30, 31, 38, 40, 41, 42, 43),
                *(46, 47, 48, 49, 51, 52, 53, 56, 58, 60, 62, 63),
            ),
            Topology(sockets=2, cores=3, threads=1),
            2,
            (0, 0, 0, 0, 1, 0),
            id="no cache is crossed beside an isolated emulator",
        ),
    ],
)
def test_clusters_of_four_cores_are_used_as_well_as_can_be(
    numbers: tuple[int, ...], topology: Topology, housekeeping: int, expected: tuple[int, ...]
) -> None:
    host = _host(1, 16, 4)
    placement = place([host[number] for number in numbers], topology, housekeeping)
    assert astuple(placement.score) == expected
    assert placement.sure == len(TERMS)


def test_the_judge_beats_what_is_worse_than_can_be() -> None:
    host = _host(2, 2, 2)
    verdict, terms = judge(
        host, Topology(sockets=1, cores=4, threads=1), 0, Score(nodes_used=1, cache_crossings=2), seconds=5
    )
    assert (verdict, terms) == (Verdict.BEATEN, (0, 0, 0, 0, 1, 1))


@pytest.mark.parametrize("machine", [pytest.param(machine, id=machine.name) for machine in MACHINES])
def test_a_random_case_is_the_same_for_the_same_number_and_the_guest_fits(machine: Machine) -> None:
    for number in range(5):
        found, case = random_case(number, machine=machine)
        assert (found, case) == random_case(number, machine=found)
        assert isinstance(case, Case)
        assert len(case.cpus) >= case.topology.vcpus + case.housekeeping


@pytest.mark.parametrize(
    ("least", "sure", "words"),
    [
        pytest.param((0, 0, 0, 0, 1, 2), 0, "proved by counting alone", id="counted"),
        pytest.param((0, 0, 0, 0, 1, 0), 6, "proved by the search", id="searched"),
        pytest.param(
            (0, 0, 0, 0, 1, 0),
            5,
            "not proved optimal: cache crossings may be up to 2 more than need be: the search ended by its effort",
            id="neither",
        ),
    ],
)
def test_it_is_said_how_a_plan_is_proved(least: tuple[int, ...], sure: int, words: str) -> None:
    assert proof_explained(Score(nodes_used=1, cache_crossings=2), least, sure).startswith(words)
