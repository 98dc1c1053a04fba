"""Where threads without a CPU of their own run: beside realtime vCPUs, and on CPUs between which none is moved."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.host.model import AllowedCPUs, Bounds, Host, Owners, ToldCPUs
from launcher.planner.model import Pinning
from launcher.planner.plan import plan
from launcher.planner.replan.replan import replan
from launcher.vmi.guest import Guest, IOThreadsPolicy
from tests.planner.guests import a_guest, a_host, allow, virtio

_AUTO, _POOL = IOThreadsPolicy.AUTO, IOThreadsPolicy.SUPPLEMENTAL_POOL
_DISKS = (virtio("a"), virtio("b"))


def _realtime(guest: Guest, *vcpus: int) -> Guest:
    return replace(guest, cpu=replace(guest.cpu, realtime_vcpus=frozenset(vcpus)))


def _quiet(host: Host, isolated: str = "", nohz_full: str = "") -> Host:
    return replace(host, isolated=CPUSet.parse(isolated), nohz_full=CPUSet.parse(nohz_full))


def _roles(pinning: Pinning) -> tuple[str, tuple[str, ...], str]:
    return str(pinning.emulator), tuple(str(pin.cpus) for pin in pinning.iothreads), str(pinning.spare)


@pytest.mark.parametrize(
    ("guest", "cpulist", "roles"),
    [
        pytest.param(
            _realtime(a_guest(1, 2, policy=_AUTO, disks=_DISKS), 1),
            "0-1",
            ("0", ("0", "0"), ""),
            id="on the CPU whose vCPU is not realtime",
        ),
        pytest.param(
            _realtime(a_guest(1, 4, policy=_AUTO, disks=_DISKS), 0, 3), "0-3", ("1-2", ("1-2", "1-2"), ""), id="on both"
        ),
        pytest.param(
            _realtime(a_guest(1, 2, policy=_AUTO, disks=_DISKS), 0, 1), "0-2", ("2", ("2", "2"), ""), id="left over"
        ),
        pytest.param(
            _realtime(a_guest(1, 2, policy=_POOL, pool=1, disks=_DISKS), 0, 1),
            "0-2",
            ("2", ("2",), ""),
            id="on the pool's CPU rather than a realtime vCPU's",
        ),
        pytest.param(
            _realtime(a_guest(1, 2, policy=_AUTO, disks=_DISKS), 0, 1),
            "0-1",
            ("0-1", ("0-1", "0-1"), ""),
            id="nowhere else to go",
        ),
    ],
)
def test_threads_that_float_keep_off_the_cpus_of_realtime_vcpus(
    guest: Guest, cpulist: str, roles: tuple[str, tuple[str, ...], str]
) -> None:
    assert _roles(plan(guest, a_host(threads=1, cores=8), allow(cpulist))) == roles


def test_who_may_never_run_behind_realtime_vcpus_is_a_warning_with_the_cure() -> None:
    guest = _realtime(a_guest(1, 2, policy=IOThreadsPolicy.SHARED, disks=_DISKS), 0, 1)
    assert plan(guest, a_host(threads=1), allow("0-1")).warnings == (
        (
            "every CPU of the cpuset that is left to them (0-1) carries a SCHED_FIFO vCPU, so that QEMU's main loop, "
            "IOThread 1 and the launcher may never run: set spec.domain.cpu.isolateEmulatorThread: true, or leave a "
            "vCPU out of spec.domain.cpu.realtime.mask"
        ),
    )


@pytest.mark.parametrize("cpulist", ["0-2", "0-3"])
def test_an_isolated_emulator_starves_behind_nobody(cpulist: str) -> None:
    guest = _realtime(a_guest(1, 2, isolate=True), 0, 1)
    assert plan(guest, a_host(threads=1), allow(cpulist)).warnings == ()


def test_a_vcpu_that_shares_a_cpu_with_a_realtime_one_is_named_in_a_degraded_plan() -> None:
    guest, host = _realtime(a_guest(1, 3), 0), a_host(threads=1)
    degraded = replan(plan(guest, host, allow("0-2")), guest, host, allow("0-1"))
    assert degraded.degraded
    assert "vCPU 2 may never run: it shares CPU 0 with vCPU 0, which is SCHED_FIFO" in degraded.warnings


@pytest.mark.parametrize(
    ("guest", "isolated", "cpulist", "roles"),
    [
        pytest.param(
            a_guest(1, 2, policy=_AUTO, cpu_count=2, disks=_DISKS),
            "0-7",
            "0-3",
            ("2", ("3", "3"), ""),
            id="two left over: the emulator on one, the IOThreads on the other",
        ),
        pytest.param(
            a_guest(1, 2, policy=_AUTO, cpu_count=2, disks=_DISKS),
            "0-7",
            "0-5",
            ("2", ("3", "4"), "5"),
            id="one CPU for each, the rest is spare",
        ),
        pytest.param(
            a_guest(1, 2, policy=_AUTO, cpu_count=2, disks=_DISKS),
            "0-3",
            "0-5",
            ("4-5", ("4-5", "4-5"), "2-3"),
            id="together where they can be moved",
        ),
        pytest.param(
            a_guest(1, 3, policy=_AUTO, cpu_count=2, disks=_DISKS),
            "0-7",
            "0-2",
            ("2", ("1", "0"), ""),
            id="nothing left over: beside the vCPUs, from the last",
        ),
        pytest.param(
            a_guest(1, 2, isolate=True, parity=True, policy=_AUTO, disks=_DISKS),
            "0-7",
            "0-3",
            ("2", ("3",), ""),
            id="an emulator's own two CPUs",
        ),
    ],
)
def test_threads_that_float_on_isolated_cpus_are_pinned_one_each(
    guest: Guest, isolated: str, cpulist: str, roles: tuple[str, tuple[str, ...], str]
) -> None:
    bounds = Bounds(isolated=CPUSet.parse(isolated), isolated_source="/sys/fs/cgroup/cpuset.cpus.partition")
    host = a_host(threads=1, cores=8)
    assert _roles(plan(guest, _quiet(host, isolated), allow(cpulist))) == roles
    assert _roles(plan(guest, _quiet(host, nohz_full=isolated), allow(cpulist))) == roles
    assert _roles(plan(guest, host, replace(allow(cpulist), bounds=bounds))) == roles


def test_they_stay_pinned_one_each_when_the_cpuset_changes() -> None:
    guest = a_guest(1, 2, policy=_AUTO, cpu_count=2, disks=_DISKS)
    host = _quiet(a_host(threads=1, cores=8), "0-7")
    again = replan(plan(guest, host, allow("0-3")), guest, host, allow("0-2,4"))
    assert _roles(again) == ("2", ("4", "4"), "")


@pytest.mark.parametrize(
    ("isolated", "nohz_full", "warning"),
    [
        pytest.param(
            "0-3",
            "0-3",
            "the CPUs 0-3 are isolated (/sys/devices/system/cpu/isolated): the kernel never moves threads between "
            "them, so that all 4 vCPUs may run on one: set spec.domain.cpu.dedicatedCpuPlacement: true",
            id="all of them",
        ),
        pytest.param(
            "2-5",
            "",
            "the CPUs 2-3 of the cpuset 0-3 are isolated (/sys/devices/system/cpu/isolated): a thread that starts on "
            "one never leaves it, and none is put there: set spec.domain.cpu.dedicatedCpuPlacement: true, or give "
            "the container CPUs that are not isolated",
            id="some",
        ),
        pytest.param(
            "",
            "2-3",
            "the CPUs 2-3 are nohz_full (/sys/devices/system/cpu/nohz_full): as soon as two threads share one it has "
            "its tick back: set spec.domain.cpu.dedicatedCpuPlacement: true, or give the container other CPUs",
            id="without a tick",
        ),
        pytest.param("4-7", "4-7", None, id="others"),
    ],
)
def test_a_guest_without_dedicated_cpus_on_quiet_cpus_is_warned_of(
    isolated: str, nohz_full: str, warning: str | None
) -> None:
    host = _quiet(a_host(threads=1, cores=8), isolated, nohz_full)
    pinning = plan(a_guest(4, dedicated=False), host, allow("0-3"))
    assert pinning.warnings == (() if warning is None else (warning,))


def test_an_emulator_that_stays_beside_a_vcpu_is_a_warning() -> None:
    pinning = plan(a_guest(1, 3), _quiet(a_host(threads=1), "0-3"), allow("0-2"))
    assert pinning.warnings == (
        (
            "QEMU's main loop stays on CPU 2, beside vCPU 2: all CPUs of the cpuset that it may use are isolated and "
            "none is left over: set spec.domain.cpu.isolateEmulatorThread: true"
        ),
    )


def _floats(host: Host, cpulist: str, owners: Owners | None = None) -> tuple[str, set[str], str, str]:
    """Return where a guest without dedicated CPUs floats: the emulator, its vCPUs, its IOThread, and what is spare."""
    guest = a_guest(4, dedicated=False, policy=IOThreadsPolicy.SHARED, disks=(virtio("a"),))
    allowed = AllowedCPUs(cpus=CPUSet.parse(cpulist), source="x", owners=owners or Owners())
    pinning = plan(guest, host, allowed)
    vcpus = {str(pinning.vcpu_cpus(vcpu)) for vcpu in range(4)}
    assert pinning.vcpus == ()
    assert not pinning.degraded
    return str(pinning.emulator), vcpus, str(pinning.iothreads[0].cpus), str(pinning.spare)


@pytest.mark.parametrize(
    ("isolated", "wanted"),
    [
        ("", ("0-3", {"0-3"}, "0-3", "")),
        ("4-7", ("0-3", {"0-3"}, "0-3", "")),
        ("2-3", ("0-1", {"0-1"}, "0-1", "2-3")),
        ("0-3", ("0-3", {"0-3"}, "0-3", "")),
    ],
)
def test_a_floating_guest_keeps_off_cpus_between_which_nothing_is_moved(
    isolated: str, wanted: tuple[str, set[str], str, str]
) -> None:
    assert _floats(_quiet(a_host(threads=1, cores=8), isolated), "0-3") == wanted


def test_a_floating_guests_vcpus_have_its_own_cpus_and_all_else_the_shared_ones() -> None:
    owners = Owners(
        isolated=ToldCPUs(cpus=CPUSet.parse("0-1"), source="OPENSHIFT_ISOLATED_CPUS"),
        shared=ToldCPUs(cpus=CPUSet.parse("2-3"), source="OPENSHIFT_SHARED_CPUS"),
    )
    assert _floats(a_host(threads=1, cores=8), "0-3", owners) == ("2-3", {"0-1"}, "2-3", "")
