"""Mixed guests: dedicated vCPUs alone, the others with the emulator on what is left, in every plan and every replan."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.errors import DoesNotFit
from launcher.host.model import AllowedCPUs, Owners, ToldCPUs
from launcher.planner.document import from_json, to_json
from launcher.planner.model import Pinning
from launcher.planner.plan import plan
from launcher.planner.replan.replan import replan
from launcher.vmi.guest import Guest, IOThreadsPolicy
from tests.planner.guests import a_guest, a_host, allow, virtio


def _mixed(
    cores: int,
    shared: set[int],
    *,
    threads: int = 1,
    sockets: int = 1,
    cpus: int = 1,
    isolate: bool = False,
    pool: int = 0,
) -> Guest:
    """Build a guest of which these vCPUs share so many CPUs."""
    policy = IOThreadsPolicy.SUPPLEMENTAL_POOL if pool else None
    disks = (virtio("a"),) if pool else ()
    guest = a_guest(sockets, cores, threads, isolate=isolate, policy=policy, pool=pool, disks=disks)
    return replace(guest, cpu=replace(guest.cpu, shared_vcpus=frozenset(shared), shared_cpus=cpus))


def _where(pinning: Pinning) -> dict[str, str]:
    return {
        **{f"v{pin.vcpu}": str(pin.cpu) for pin in pinning.vcpus},
        **{f"~{pin.vcpu}": str(pin.cpus) for pin in pinning.shared},
        "emulator": str(pinning.emulator),
        **{f"io{pin.iothread}": str(pin.cpus) for pin in pinning.iothreads},
    }


def test_two_of_four_are_alone_and_two_share_the_third_cpu_with_the_emulator() -> None:
    pinning = plan(_mixed(4, {2, 3}), a_host(1, 4, 1), allow("0-2"))
    assert _where(pinning) == {"v0": "0", "v1": "1", "~2": "2", "~3": "2", "emulator": "2"}
    assert (pinning.degraded, pinning.housekeeping, pinning.warnings) == (False, CPUSet.parse("2"), ())
    assert [
        (reason.thread, reason.text) for reason in pinning.reasons if reason.thread.startswith(("vcpu 2", "emu"))
    ] == [
        ("vcpu 2", "CPU 2, shared with vCPU 3 and the emulator"),
        ("emulator", "CPU 2, with the vCPUs that share"),
    ]


@pytest.mark.parametrize(
    ("guest", "cpuset", "where"),
    [
        pytest.param(
            _mixed(4, {0, 1}), "0-2", {"v2": "0", "v3": "1", "~0": "2", "~1": "2", "emulator": "2"},
            id="the last two alone",
        ),
        pytest.param(
            _mixed(4, {1, 3}, cpus=2), "0-3", {"v0": "0", "v2": "1", "~1": "2-3", "~3": "2-3", "emulator": "2-3"},
            id="two CPUs for those that share",
        ),
        pytest.param(
            _mixed(3, {2}, isolate=True), "0-3", {"v0": "0", "v1": "1", "~2": "2", "emulator": "3"},
            id="an isolated emulator has its own",
        ),
        pytest.param(
            _mixed(3, {2}), "0-3", {"v0": "0", "v1": "1", "~2": "2-3", "emulator": "2-3"},
            id="what is left over is shared, too",
        ),
        pytest.param(
            _mixed(3, {2}, pool=1), "0-3", {"v0": "0", "v1": "1", "~2": "2", "emulator": "2", "io1": "3"},
            id="the pool has its own",
        ),
    ],
)  # fmt: skip
def test_everybody_has_a_place(guest: Guest, cpuset: str, where: dict[str, str]) -> None:
    assert _where(plan(guest, a_host(1, 8, 1), allow(cpuset))) == where


def test_guest_cores_that_are_alone_are_whole_host_cores_and_the_rest_is_on_another() -> None:
    pinning = plan(_mixed(4, {4, 5, 6, 7}, threads=2), a_host(1, 4, 2), allow("0-5"))
    assert [(pin.vcpu, pin.core) for pin in pinning.vcpus] == [(0, 0), (1, 0), (2, 1), (3, 1)]
    assert {str(pin.cpus) for pin in pinning.shared} == {"4-5"}
    assert str(pinning.emulator) == "4-5"


def test_one_cpu_too_few_is_refused_with_the_sum() -> None:
    with pytest.raises(DoesNotFit) as refused:
        plan(_mixed(4, {2, 3}), a_host(1, 4, 1), allow("0-1"))
    assert str(refused.value).startswith(
        "the guest needs 3 CPUs (2 dedicated vCPUs + 1 for the vCPUs that share), found 2 (0-1"
    )


def test_shared_cpus_of_the_node_are_what_they_share_and_none_is_needed_of_the_guests_own() -> None:
    owners = Owners(
        isolated=ToldCPUs(cpus=CPUSet.parse("0-1"), source="OPENSHIFT_ISOLATED_CPUS"),
        shared=ToldCPUs(cpus=CPUSet.parse("4-5"), source="OPENSHIFT_SHARED_CPUS"),
    )
    allowed = AllowedCPUs(cpus=CPUSet.parse("0-1,4-5"), source="x", owners=owners)
    pinning = plan(_mixed(4, {2, 3}, isolate=True), a_host(1, 8, 1), allowed)
    assert _where(pinning) == {"v0": "0", "v1": "1", "~2": "4-5", "~3": "4-5", "emulator": "4-5"}


def test_between_isolated_cpus_where_nothing_is_moved_they_take_turns() -> None:
    host = replace(a_host(1, 4, 1), isolated=CPUSet.parse("0-3"))
    assert _where(plan(_mixed(4, {2, 3}, cpus=2), host, allow("0-3"))) == {
        "v0": "0", "v1": "1", "~2": "2", "~3": "3", "emulator": "2",
    }  # fmt: skip


def test_a_plan_is_recorded_with_both_kinds_and_read_back() -> None:
    pinning = plan(_mixed(4, {2, 3}), a_host(1, 4, 1), allow("0-2"))
    assert from_json(to_json(pinning)) == pinning
    assert '"shared_vcpus": {"2": "2", "3": "2"}' in to_json(pinning)


def test_a_record_of_before_there_were_mixed_guests_is_read() -> None:
    before = plan(a_guest(1, 2), a_host(1, 4, 1), allow("0-2"))
    assert from_json(to_json(before).replace(', "vhost": "", "shared_vcpus": {}', "")) == before


def test_a_cpuset_that_lost_the_shared_cpu_is_degraded_and_says_so() -> None:
    guest, host = _mixed(4, {2, 3}), a_host(1, 4, 1)
    after = replan(plan(guest, host, allow("0-2")), guest, host, allow("0-1"))
    assert [(pin.vcpu, pin.cpu) for pin in after.vcpus] == [(0, 0), (1, 1)]
    assert after.degraded
    assert {str(pin.cpus) for pin in after.shared} == {"0-1"}
    assert (
        "other vCPUs' own: the cpuset has no CPU left"
        in {reason.thread: reason.text for reason in after.reasons}["vcpu 2"]
    )


def test_a_cpuset_that_moved_takes_both_kinds_along() -> None:
    guest, host = _mixed(4, {0, 3}), a_host(1, 8, 1)
    after = replan(plan(guest, host, allow("0-2")), guest, host, allow("1,4-5"))
    assert _where(after) == {"v1": "4", "v2": "1", "~0": "5", "~3": "5", "emulator": "5"}
    assert not after.degraded
    back = replan(after, guest, host, allow("0-2"))
    assert not back.degraded
    assert {pin.vcpu for pin in back.vcpus} == {1, 2}


@st.composite
def guests(draw: st.DrawFn) -> Guest:
    """Draw a guest of up to eight vCPUs, of which some guest cores share."""
    threads, cores, sockets = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    total = cores * sockets
    shared_cores = draw(st.sets(st.integers(0, total - 1), min_size=1, max_size=max(total - 1, 1)))
    if len(shared_cores) == total:
        return a_guest(sockets, cores, threads)
    shared = {core * threads + thread for core in shared_cores for thread in range(threads)}
    return _mixed(
        cores, shared, threads=threads, sockets=sockets, cpus=draw(st.integers(1, len(shared))),
        isolate=draw(st.booleans()), pool=draw(st.integers(0, 2)),
    )  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    guests(), st.integers(1, 2), st.integers(0, 4), st.lists(st.frozensets(st.integers(0, 23), min_size=1), max_size=4)
)
def test_two_vcpus_are_never_on_a_dedicated_cpu_without_the_word_degraded(
    guest: Guest, nodes: int, spare: int, later: list[frozenset[int]]
) -> None:
    from launcher.planner.demand import cpu_demand  # noqa: PLC0415 - beside its one use

    host = a_host(nodes, 12 // nodes, 2)
    cpuset = CPUSet.of(range(cpu_demand(guest).total + spare))
    pinning = plan(guest, host, allow(str(cpuset)))
    assert not pinning.degraded
    for now in (None, *later):
        if now is not None:
            pinning = replan(pinning, guest, host, allow(str(CPUSet.of(now))))
        _check(pinning, guest)


def _check(pinning: Pinning, guest: Guest) -> None:
    assert [pin.vcpu for pin in pinning.vcpus] == list(guest.cpu.placed_vcpus)
    assert [pin.vcpu for pin in pinning.shared] == sorted(guest.cpu.shared_vcpus)
    alone = CPUSet.of(pin.cpu for pin in pinning.vcpus)
    shared = CPUSet.of(cpu for pin in pinning.shared for cpu in pin.cpus)
    assert alone | shared | pinning.emulator <= pinning.cpuset
    assert pinning.degraded == (len(alone) < len(pinning.vcpus) or bool(alone & shared))
    assert not pinning.spare & (alone | shared | pinning.emulator)


def test_vhost_has_cpus_of_its_own_where_the_guest_asks_for_some() -> None:
    guest = _mixed(3, {2}, isolate=True, pool=1)
    guest = replace(guest, cpu=replace(guest.cpu, vhost_cpus=1))
    pinning = plan(guest, a_host(1, 8, 1), allow("0-5"))
    where = _where(pinning)
    taken = {where[who] for who in ("v0", "v1", "~2", "emulator", "io1")} | {str(pinning.vhost)}
    assert taken == {"0", "1", "2", "3", "4", "5"}
    assert from_json(to_json(pinning)) == pinning
    assert (f"CPU {pinning.vhost} for vhost's threads alone") in [reason.text for reason in pinning.reasons]
    with pytest.raises(DoesNotFit, match="1 for the vCPUs that share \\+ 1 for vhost"):
        plan(guest, a_host(1, 8, 1), allow("0-4"))


def test_vhost_is_the_first_to_go_without_a_cpu_of_its_own() -> None:
    guest = a_guest(1, 2, isolate=True)
    guest = replace(guest, cpu=replace(guest.cpu, vhost_cpus=1))
    before = plan(guest, a_host(1, 8, 1), allow("0-3"))
    after = replan(before, guest, a_host(1, 8, 1), allow("0-2"))
    assert (str(before.vhost), str(after.vhost), after.degraded) != ("", "", True)
    assert len(after.emulator) == 1
    assert after.vhost == CPUSet()
