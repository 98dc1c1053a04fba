"""A cpuset of which the node keeps some CPUs quiet: vCPUs go there, everything else to the others."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.host.model import AllowedCPUs, Bounds, Host
from launcher.host.owners import read_owners
from launcher.host.synthetic import parse_synthetic
from launcher.planner.model import Pinning
from launcher.planner.plan import plan
from launcher.planner.replan.replan import replan
from launcher.vmi.guest import Guest, GuestMemory
from tests.planner.guests import MIB, a_guest, a_host, allow

_PARTITION = "/sys/fs/cgroup/cpuset.cpus.partition"


def _host(isolated: str = "", nohz_full: str = "", shape: str = "node:1 core:8 pu:1") -> Host:
    host = parse_synthetic(shape)
    return replace(host, isolated=CPUSet.parse(isolated), nohz_full=CPUSet.parse(nohz_full))


def _partition(cpulist: str, isolated: str) -> AllowedCPUs:
    bounds = Bounds(isolated=CPUSet.parse(isolated), isolated_source=_PARTITION)
    return replace(allow(cpulist), bounds=bounds)


def _cpus(pinning: Pinning) -> list[int]:
    return [pin.cpu for pin in pinning.vcpus]


@pytest.mark.parametrize(
    ("host", "allowed", "isolate", "vcpus", "emulator"),
    [
        pytest.param(_host("4-7"), allow("2-7"), True, [4, 5, 6, 7], "2", id="isolcpus, an isolated emulator"),
        pytest.param(_host("4-7"), allow("2-7"), False, [4, 5, 6, 7], "2-3", id="an emulator that is not"),
        pytest.param(_host("", "4-7"), allow("2-7"), True, [4, 5, 6, 7], "2", id="nohz_full"),
        pytest.param(_host(), _partition("2-7", "4-7"), True, [4, 5, 6, 7], "2", id="a partition that is isolated"),
        pytest.param(_host("3-7"), allow("2-7"), True, [3, 4, 5, 6], "2", id="more isolated ones than needed"),
        pytest.param(_host("0-7"), allow("2-7"), True, [2, 3, 4, 5], "7", id="all are isolated"),
        pytest.param(_host("0-1"), allow("2-7"), True, [2, 3, 4, 5], "7", id="those of others are"),
    ],
)
def test_vcpus_are_on_quiet_cpus_and_the_emulator_is_not(
    host: Host, allowed: AllowedCPUs, vcpus: Sequence[int], emulator: str, *, isolate: bool
) -> None:
    pinning = plan(a_guest(1, 4, isolate=isolate), host, allowed)
    assert (_cpus(pinning), str(pinning.emulator)) == (vcpus, emulator)
    assert not [warning for warning in pinning.warnings if "not isolated" in warning]
    told = [reason.text for reason in pinning.reasons if "move no thread" in reason.text or "quiet" in reason.text]
    is_divided = len(CPUSet.of(vcpus) & (host.isolated | host.nohz_full | allowed.bounds.isolated)) > 0
    assert bool([text for text in told if text.startswith("vCPUs go")]) is (is_divided and emulator != "7")


def test_quiet_cpus_come_before_what_the_objective_wants_of_the_others() -> None:
    # On the quiet ones two guest cores are split, on the others none would be.
    host = _host("3,5,7,9", shape="node:1 core:8 pu:2")
    pinning = plan(a_guest(1, 2, 2), host, allow("3,5,7,9,10-15"))
    assert sorted(_cpus(pinning)) == [3, 5, 7, 9]


def test_too_few_quiet_cpus_are_told_with_the_cure() -> None:
    pinning = plan(a_guest(1, 4), _host("2-3"), allow("2-7"))
    (warning,) = (warning for warning in pinning.warnings if "not isolated" in warning)
    assert warning.endswith("for of the cpuset only 2-3 are: give the container 4 isolated CPUs, or none")


def test_cells_lie_on_quiet_cpus_where_these_have_the_pages() -> None:
    host = replace(a_host(2, 4, 1, free_pages={0: 100, 1: 100}), isolated=CPUSet.parse("4-7"))
    guest = a_guest(
        1, 4, isolate=True, passthrough=True, memory=GuestMemory(guest_bytes=64 * MIB, huge_page_bytes=2 * MIB)
    )
    pinning = plan(guest, host, allow("0-7"))
    assert (_cpus(pinning), str(pinning.emulator)) == ([4, 5, 6, 7], "0")
    assert [cell.node for cell in pinning.cells] == [1]


def test_cells_lie_where_the_pages_are_where_the_quiet_cpus_have_none() -> None:
    host = replace(a_host(2, 4, 1, free_pages={0: 100, 1: 0}), isolated=CPUSet.parse("4-7"))
    guest = a_guest(1, 4, passthrough=True, memory=GuestMemory(guest_bytes=64 * MIB, huge_page_bytes=2 * MIB))
    assert _cpus(plan(guest, host, allow("0-7"))) == [0, 1, 2, 3]


def test_what_the_runtime_says_comes_before_what_the_kernel_isolates() -> None:
    told = read_owners({"OPENSHIFT_ISOLATED_CPUS": "2-5", "OPENSHIFT_SHARED_CPUS": "6-7"})
    pinning = plan(a_guest(1, 4, isolate=True), _host("6-7"), replace(allow("2-7"), owners=told))
    assert _cpus(pinning) == [2, 3, 4, 5]


def _replanned(guest: Guest, host: Host, before: str, after: str) -> Pinning:
    return replan(plan(guest, host, allow(before)), guest, host, allow(after))


def test_a_replan_puts_movers_on_quiet_cpus_and_the_emulator_on_the_others() -> None:
    host = replace(a_host(1, 8, 1), isolated=CPUSet.parse("4-7"))
    after = _replanned(a_guest(1, 2, isolate=True), host, "3-6", "1-2,4,7")
    assert [pin.cpu for pin in after.vcpus] == [4, 7]
    assert str(after.emulator) in ("1", "2")
    assert not [warning for warning in after.warnings if "isolated" in warning]


def test_a_replan_with_too_few_quiet_cpus_says_so() -> None:
    host = replace(a_host(1, 8, 1), isolated=CPUSet.parse("4-7"))
    after = _replanned(a_guest(1, 2), host, "4-5", "0-1,4")
    assert next(pin.cpu for pin in after.vcpus) == 4
    assert [warning for warning in after.warnings if "not isolated" in warning]


def test_a_replan_moves_nobody_for_the_sake_of_quiet() -> None:
    host = replace(a_host(1, 8, 1), isolated=CPUSet.parse("4-7"))
    after = _replanned(a_guest(1, 2), host, "0-1", "0,4-7")
    assert [pin.cpu for pin in after.vcpus] == [0, 4]


def test_a_replan_keeps_a_mover_with_its_memory_rather_than_quiet() -> None:
    guest = a_guest(1, 2, passthrough=True, memory=GuestMemory(guest_bytes=64 * MIB))
    host = replace(a_host(2, 4, 1), isolated=CPUSet.parse("4-7"))
    after = _replanned(guest, host, "0-1", "0,2,6")
    assert [pin.cpu for pin in after.vcpus] == [0, 2]
