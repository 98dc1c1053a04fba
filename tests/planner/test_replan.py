"""Replanning for a cpuset that changed: what stays, what moves, and what is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import combinations, permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.model import CPU, Host
from launcher.planner.model import Pinning, Proof, Score
from launcher.planner.plan import plan
from launcher.planner.replan.replan import replan
from launcher.planner.terms import score
from launcher.vmi.guest import Guest, GuestMemory, IOThreadsPolicy
from tests.planner.cases import Case, as_host, cases, regular_host
from tests.planner.guests import MIB, a_guest, a_host, allow, virtio

_STABLE = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def _pins(pinning: Pinning) -> tuple[int, ...]:
    return tuple(pin.cpu for pin in pinning.vcpus)


def _moves(before: Pinning, after: Pinning) -> int:
    return sum(old != new for old, new in zip(_pins(before), _pins(after), strict=True))


def _started(case: Case) -> tuple[Guest, Host, Pinning]:
    topology = case.topology
    emulator = min(case.housekeeping, 1)
    guest = a_guest(
        topology.sockets,
        topology.cores,
        topology.threads,
        isolate=bool(emulator),
        policy=IOThreadsPolicy.SUPPLEMENTAL_POOL,
        pool=case.housekeeping - emulator,
    )
    host = as_host(regular_host(3, 2, 4, 2, interleaved=True))
    cpus = CPUSet.of(cpu.cpu for cpu in case.cpus)
    return guest, host, plan(guest, host, allow(str(cpus)))


@settings(_STABLE, max_examples=300)
@given(cases(), st.frozensets(st.integers(0, 23)))
def test_never_more_vcpus_move_than_cpus_are_lost(case: Case, cpus: frozenset[int]) -> None:
    guest, host, before = _started(case)
    now = CPUSet.of(cpus or {0})
    after = replan(before, guest, host, allow(str(now)))
    lost = before.cpuset - now
    assert _moves(before, after) == sum(pin.cpu in lost for pin in before.vcpus) <= len(lost)
    assert {pin.cpu for pin in after.vcpus} <= set(now)


@settings(_STABLE, max_examples=400)
@given(cases(most_cpus=8, largest_spare=2), st.frozensets(st.integers(0, 23), max_size=4), st.data())
def test_of_all_placements_that_keep_every_cpu_still_there_none_scores_better(
    case: Case, new: frozenset[int], data: st.DataObject
) -> None:
    guest, host, before = _started(case)
    lost = data.draw(st.frozensets(st.sampled_from(sorted(before.cpuset)), min_size=1, max_size=3))
    now = CPUSet.of((set(before.cpuset) | new) - lost)
    if len(now) >= len(before.vcpus):
        after = replan(before, guest, host, allow(str(now)))
        assert after.score == min(_scores(before, guest, host, now))


def _scores(before: Pinning, guest: Guest, host: Host, now: CPUSet) -> Iterator[Score]:
    """Score every choice for the vCPUs that lost their CPU, and for the housekeeping unless no vCPU moves."""
    by_number = {cpu.cpu: cpu for cpu in host.cpus}
    pins = _pins(before)
    movers = [vcpu for vcpu, cpu in enumerate(pins) if cpu not in now]
    free = sorted(set(now) - set(pins))
    staying = set() if movers else set(before.housekeeping) & set(now)
    for moved in permutations(free, len(movers)):
        chosen = dict(enumerate(pins)) | dict(zip(movers, moved, strict=True))
        vcpus = [by_number[chosen[vcpu]] for vcpu in range(len(pins))]
        rest = [cpu for cpu in free if cpu not in moved]
        for housekeeping in combinations(rest, min(len(before.housekeeping), len(rest))):
            if staying <= set(housekeeping):
                yield score(vcpus, guest.cpu.topology, [by_number[cpu] for cpu in housekeeping])


def test_a_replan_gives_reasons_for_the_emulator_and_the_iothreads_too() -> None:
    guest = a_guest(1, 2, 2, isolate=True, policy=IOThreadsPolicy.SUPPLEMENTAL_POOL, pool=1, disks=(virtio("a"),))
    before = plan(guest, a_host(), allow("0-5"))
    assert _said(replan(before, guest, a_host(), allow("0-4,6"))) == [
        ("emulator", "CPU 6 to the emulator alone (isolateEmulatorThread): its core has no other CPU in the cpuset"),
        ("iothread 1", "CPU 4 of its own, out of the supplemental pool's"),
    ]
    assert _said(replan(before, guest, a_host(), allow("0-3"))) == [
        ("emulator", "CPUs 0-3, the whole cpuset: no CPU is left over for the emulator"),
        ("iothread 1", "CPUs 0-3, as the emulator: the cpuset has no CPU left for the supplemental pool"),
    ]


def _said(pinning: Pinning) -> list[tuple[str, str]]:
    return [
        (reason.thread, reason.text) for reason in pinning.reasons if not reason.thread.startswith(("vcpu", "place"))
    ]


@settings(_STABLE, max_examples=300)
@given(cases(), st.frozensets(st.integers(0, 23), min_size=1))
def test_vcpus_share_only_when_degraded_and_then_evenly(case: Case, cpus: frozenset[int]) -> None:
    guest, host, before = _started(case)
    after = replan(before, guest, host, allow(str(CPUSet.of(cpus))))
    load = Counter(dict.fromkeys(after.cpuset, 0))
    load.update(_pins(after))
    assert after.degraded == (len(cpus) < len(after.vcpus))
    assert after.degraded == any("degraded" in warning for warning in after.warnings)
    assert max(load.values()) - min(load.values()) <= 1
    assert after.degraded or not set(after.housekeeping) & set(_pins(after))


@settings(_STABLE, max_examples=100)
@given(cases(), st.frozensets(st.integers(0, 23), min_size=1))
def test_the_same_cpuset_again_changes_nothing(case: Case, cpus: frozenset[int]) -> None:
    guest, host, before = _started(case)
    allowed = allow(str(CPUSet.of(cpus)))
    after = replan(before, guest, host, allowed)
    assert replan(after, guest, host, allowed) == after
    assert replan(before, guest, host, allow(str(before.cpuset))) == before


@settings(_STABLE, max_examples=100)
@given(cases(), st.frozensets(st.integers(0, 23), min_size=1))
def test_every_vcpu_has_its_own_cpu_again_once_there_are_enough(case: Case, cpus: frozenset[int]) -> None:
    guest, host, before = _started(case)
    narrowed = replan(before, guest, host, allow(str(CPUSet.of(cpus))))
    widened = replan(narrowed, guest, host, allow("0-23"))
    assert not widened.degraded
    assert len(set(_pins(widened))) == len(widened.vcpus)
    assert len(widened.housekeeping) == len(before.housekeeping)
    assert _moves(narrowed, widened) == len(narrowed.vcpus) - len(set(_pins(narrowed)))


def test_a_widened_cpuset_is_left_alone() -> None:
    guest = a_guest(1, 4, isolate=True)
    before = plan(guest, a_host(2, 4), allow("0-4"))
    after = replan(before, guest, a_host(2, 4), allow("0-15"))
    assert after == replace(before, cpuset=CPUSet.parse("0-15"), spare=CPUSet.parse("5-15"))


def test_a_lost_cpu_is_replaced_beside_its_guest_cores_other_thread() -> None:
    guest, host = a_guest(1, 2, 2), a_host(2, 4)
    before = plan(guest, host, allow("0-2,4"))
    after = replan(before, guest, host, allow("0-3,8-9"))
    assert (_pins(before), _pins(after)) == ((0, 1, 2, 4), (0, 1, 2, 3))


def test_housekeeping_is_given_up_before_vcpus_share() -> None:
    guest, host = a_guest(1, 2, 2, isolate=True), a_host()
    before = plan(guest, host, allow("0-4"))
    after = replan(before, guest, host, allow("0-2,4", "/cg"))
    assert (_pins(after), str(after.housekeeping), str(after.emulator)) == ((0, 1, 2, 4), "", "0-2,4")
    assert not after.degraded
    assert after.warnings == (
        (
            "the guest needs 5 CPUs, found 4 (read from /cg); 1 of the housekeeping CPUs given up so that every vCPU "
            "keeps its own"
        ),
    )


def test_housekeeping_that_is_lost_is_replaced_without_a_move() -> None:
    guest, host = a_guest(1, 2, 2, isolate=True), a_host()
    before = plan(guest, host, allow("0-4"))
    after = replan(before, guest, host, allow("0-3,6"))
    assert (_pins(after), str(after.emulator)) == (_pins(before), "6")


def test_too_few_cpus_are_shared_and_called_degraded() -> None:
    guest, host = a_guest(1, 2, 2), a_host()
    before = plan(guest, host, allow("0-3"))
    after = replan(before, guest, host, allow("1-3", "/cg"))
    assert (_pins(after), after.degraded) == ((1, 1, 2, 3), True)
    assert after.warnings == (
        (
            "degraded: the guest needs 4 CPUs, found 3 (read from /cg); vCPUs share CPUs until the cpuset is large "
            "enough again"
        ),
    )
    assert [reason.text for reason in after.reasons if reason.thread == "vcpu 0"] == [
        "CPU 1: moved from CPU 0, which left the cpuset"
    ]


def test_cells_stay_and_a_vcpu_away_from_its_memory_is_a_warning() -> None:
    memory = GuestMemory(guest_bytes=100 * 2 * MIB, huge_page_bytes=2 * MIB)
    guest = a_guest(2, 2, passthrough=True, memory=memory)
    host = a_host(2, 4, 1, free_pages={0: 100, 1: 100})
    before = plan(guest, host, allow("0-1,4-5"))
    at_home = replan(before, guest, host, allow("0,2-5"))
    away = replan(before, guest, host, allow("0,4-6"))
    assert (_pins(at_home), at_home.warnings, at_home.cells) == ((0, 2, 4, 5), (), before.cells)
    assert (_pins(away), away.cells) == ((0, 6, 4, 5), before.cells)
    assert away.warnings == ("vCPU 1 runs on node 1 while its cell's memory is on node 0",)


def test_many_lost_cpus_on_a_large_host_are_replaced_without_sharing() -> None:
    guest, host = a_guest(4, 16, 2, isolate=True), a_host(4, 64)
    before = plan(guest, host, allow("0-31,128-159,256-287,384-416"))
    after = replan(before, guest, host, allow("0-15,32-47,128-159,256-287,384-416"))
    assert _moves(before, after) == 16
    assert len(set(_pins(after))) == 128
    assert after.score == before.score


def test_without_dedicated_cpus_everything_follows_the_cpuset() -> None:
    guest = a_guest(1, 2, dedicated=False, policy=IOThreadsPolicy.AUTO, disks=(virtio("a"),))
    before = plan(guest, a_host(), allow("0-3"))
    assert replan(before, guest, a_host(), allow("2-5")) == plan(guest, a_host(), allow("2-5"))


def test_no_cpu_at_all_is_an_error_of_the_host() -> None:
    guest = a_guest()
    before = plan(guest, a_host(), allow("0"))
    with pytest.raises(HostError, match="none of the CPUs 99 is online"):
        replan(before, guest, a_host(), allow("99"))


def test_a_degraded_plan_is_rebalanced_with_the_fewest_moves() -> None:
    cpus = tuple(CPU(cpu=cpu, core=cpu, die=0, socket=0, node=0, cache=0) for cpu in range(6))
    guest, host = a_guest(1, 6), Host(cpus=cpus, nodes=())
    full = plan(guest, host, allow("0-5"))
    two = replan(full, guest, host, allow("0-1"))
    three = replan(two, guest, host, allow("0-2"))
    assert Counter(_pins(two)) == {0: 3, 1: 3}
    assert (Counter(_pins(three)), _moves(two, three)) == ({0: 2, 1: 2, 2: 2}, 2)


def test_a_replan_says_whether_anything_that_moves_as_little_is_better() -> None:
    guest, host = a_guest(1, 2, 2, isolate=True), a_host(2, 4, 2)
    before = plan(guest, host, allow("0-7"))
    after = replan(before, guest, host, allow("2-9"))
    assert (before.proof, after.proof) == (Proof(optimal=True), Proof(optimal=True))
    assert replan(before, guest, host, allow("0-1")).proof is None
