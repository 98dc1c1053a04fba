"""A guest on a machine that mixes kinds of core, and what a plan says of what the guest cannot see."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.host.model import Bounds, CoreKind, CPUQuota, Host
from launcher.planner.plan import plan
from tests.planner.guests import a_guest, a_host, allow

_QUOTA = "/sys/fs/cgroup/kubepods.slice/cpu.max"


def _hybrid() -> Host:
    """Build 4 performance cores of two threads (CPUs 0-7) and 4 efficiency cores of one (8, 10, 12, 14)."""
    whole = a_host(1, 8, 2)
    cpus = tuple(replace(cpu, kind=int(cpu.cpu >= 8)) for cpu in whole.cpus if cpu.cpu < 8 or cpu.cpu % 2 == 0)
    kinds = (
        CoreKind(name="performance", cpus=CPUSet.parse("0-7"), source="/sys/devices/cpu_core/cpus"),
        CoreKind(name="efficiency", cpus=CPUSet.parse("8,10,12,14"), source="/sys/devices/cpu_atom/cpus"),
    )
    return replace(whole, cpus=cpus, kinds=kinds)


@pytest.mark.parametrize(
    ("cores", "threads", "cpulist", "vcpus"),
    [
        pytest.param(4, 1, "0-7,8,10,12,14", "0,2,4,6", id="on the more capable kind, a core each"),
        pytest.param(6, 1, "0-7,8,10,12,14", "0-4,6", id="on threads of one kind rather than on cores of two"),
        pytest.param(3, 1, "6-7,8,10,12,14", "8,10,12", id="on the less capable one where only that suffices"),
        pytest.param(2, 2, "4-7,8,10,12,14", "4-7", id="where its cores are whole"),
        pytest.param(1, 2, "7,8,10", "8,10", id="two single cores of a kind rather than of two"),
    ],
)
def test_a_guest_is_not_mixed_from_two_kinds_while_it_fits_on_one(
    cores: int, threads: int, cpulist: str, vcpus: str
) -> None:
    pinning = plan(a_guest(1, cores, threads), _hybrid(), allow(cpulist))
    assert str(CPUSet.of(pin.cpu for pin in pinning.vcpus)) == str(CPUSet.parse(vcpus))
    assert not any("kinds" in warning for warning in pinning.warnings)


def test_the_emulators_own_cpu_is_of_the_other_kind() -> None:
    pinning = plan(a_guest(1, 4, isolate=True), _hybrid(), allow("0-7,8,10"))
    assert (str(pinning.emulator), {pin.cpu // 8 for pin in pinning.vcpus}) == ("8", {0})


def test_a_guest_that_has_to_be_mixed_is_warned_of() -> None:
    pinning = plan(a_guest(1, 3), _hybrid(), allow("6,8,10"))
    assert pinning.warnings == (
        (
            "the vCPUs lie on different kinds of core, which the guest takes for equals: performance (CPUs 6), "
            "efficiency (CPUs 8,10): give the container 3 CPUs of one kind"
        ),
    )


@pytest.mark.parametrize(
    ("host", "cpulist", "warning"),
    [
        pytest.param(
            a_host(1, 8, 2),
            "0,2,4,6,8,10,12,14",
            "4 of 4 guest cores (threads: 2) have their threads on different host cores: set spec.domain.cpu.cores: 8 "
            "and threads: 1, or give the container both threads of each core (the kubelet's full-pcpus-only)",
            id="one thread of each core",
        ),
        pytest.param(
            a_host(1, 8, 2),
            "0-5,7,9",
            "1 of 4 guest cores (threads: 2) have their threads on different host cores: set spec.domain.cpu.cores: 8 "
            "and threads: 1, or give the container both threads of each core (the kubelet's full-pcpus-only)",
            id="one core is split",
        ),
        pytest.param(
            a_host(1, 8, 1),
            "0-7",
            "4 of 4 guest cores (threads: 2) have their threads on different host cores: this host's cores have one "
            "thread: set spec.domain.cpu.cores: 8 and threads: 1",
            id="SMT is off",
        ),
        pytest.param(a_host(1, 8, 2), "0-7", None, id="whole cores"),
    ],
)
def test_guest_siblings_on_separate_host_cores_are_a_warning_with_the_cure(
    host: Host, cpulist: str, warning: str | None
) -> None:
    assert plan(a_guest(1, 4, 2), host, allow(cpulist)).warnings == (() if warning is None else (warning,))


@pytest.mark.parametrize("dedicated", [True, False])
def test_a_quota_that_throttles_the_guest_is_a_warning(*, dedicated: bool) -> None:
    for cpus, count in ((1.5, 1), (2.0, 0)):
        allowed = replace(allow("0-1"), bounds=Bounds(quota=CPUQuota(cpus=cpus, source=_QUOTA)))
        warnings = plan(a_guest(1, 2, dedicated=dedicated), a_host(threads=1), allowed).warnings
        assert len(warnings) == count
        assert all(
            warning.startswith(f"{_QUOTA}: time for 1.5 CPUs, the guest has 2: its vCPUs will be throttled")
            for warning in warnings
        )


def test_a_guest_that_cannot_see_threads_is_not_advised_to_have_some() -> None:
    host = a_host(1, 4, 2)
    assert plan(a_guest(1, 4), host, allow("0-3"), shows_threads=False).warnings == (
        (
            "4 of 4 vCPUs share a host core with another while the guest sees threads: 1: emulated CPUs cannot tell it "
            "(topoext needs KVM)"
        ),
    )
    assert plan(a_guest(1, 2, 2), host, allow("0-3"), shows_threads=False).warnings == (
        (
            "the guest does not see threads: 2, and takes its vCPUs for cores: emulated CPUs cannot tell of threads "
            "(topoext needs KVM, or a model of Intel's)"
        ),
    )
