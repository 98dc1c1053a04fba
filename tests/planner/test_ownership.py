"""Whose the CPUs are, by CRI-O's variables and claims: vCPUs on the guest's own, everything else on what is common."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.errors import CPUsContradict, DoesNotFit, HostError
from launcher.host.model import AllowedCPUs, Host
from launcher.host.owners import read_owners
from launcher.host.synthetic import parse_synthetic
from launcher.planner.plan import plan
from launcher.planner.replan.replan import replan
from launcher.supervise.settle import settle
from launcher.vmi.guest import Disk, IOThreadsPolicy
from tests.planner.guests import a_guest, allow

_FILE = "/sys/fs/cgroup/cpuset.cpus.effective"
_ISOLATED, _SHARED, _HOUSEKEEPING = "OPENSHIFT_ISOLATED_CPUS", "OPENSHIFT_SHARED_CPUS", "OPENSHIFT_HOUSEKEEPING_CPUS"
_DISKS = (Disk(name="a", path="/a"), Disk(name="b", path="/b"))
CRIO = {_ISOLATED: "2-5", _SHARED: "6-7"}

Environment = Mapping[str, str]


def _host() -> Host:
    return parse_synthetic("node:1 core:8 pu:1")


def _told(cpulist: str, environment: Environment) -> AllowedCPUs:
    return replace(allow(cpulist), owners=read_owners(environment))


def _placed(cpulist: str, environment: Environment, *, vcpus: int = 4, isolate: bool = True) -> tuple[str, str]:
    pinning = plan(a_guest(1, vcpus, isolate=isolate), _host(), _told(cpulist, environment))
    return str(CPUSet.of(pin.cpu for pin in pinning.vcpus)), str(pinning.emulator)


@pytest.mark.parametrize(
    ("cpulist", "environment", "isolate", "placed"),
    [
        pytest.param("2-7", CRIO, True, ("2-5", "6-7"), id="CRI-O's shared CPUs, an isolated emulator"),
        pytest.param("2-7", CRIO, False, ("2-5", "6-7"), id="an emulator that is not isolated"),
        pytest.param("2-7", {_SHARED: "6-7"}, True, ("2-5", "6-7"), id="only what is shared is told"),
        pytest.param("2-7", {_ISOLATED: "4-7"}, True, ("4-7", "2-3"), id="only what is isolated is told"),
        pytest.param("2-6", {_HOUSEKEEPING: "2"}, True, ("3-6", "2"), id="a CPU that takes interrupts"),
        pytest.param("1-7", {**CRIO, _ISOLATED: "1-5", _HOUSEKEEPING: "1"}, True, ("2-5", "1,6-7"), id="all three"),
        pytest.param("2-7", {"DRA_CPUSET_a": "2-5"}, True, ("2-5", "6-7"), id="a claim"),
        pytest.param("2-7", {"DRA_CPUSET_a": "2-3", "DRA_CPUSET_b": "4-5"}, True, ("2-5", "6-7"), id="two claims"),
        pytest.param("2-7", {**CRIO, "DRA_CPUSET_a": "2-5"}, True, ("2-5", "6-7"), id="a claim that is isolated"),
        pytest.param("2-6", {_ISOLATED: "", _SHARED: " \n"}, True, ("2-5", "6"), id="empty values say nothing"),
        pytest.param("2-6", {"DRA_CPUSET_a": ""}, True, ("2-5", "6"), id="an empty claim says nothing"),
        pytest.param("2-6", {}, True, ("2-5", "6"), id="nobody says anything"),
    ],
)
def test_vcpus_are_on_the_guests_own_cpus_and_the_emulator_on_the_common_ones(
    cpulist: str, environment: Environment, placed: tuple[str, str], *, isolate: bool
) -> None:
    assert _placed(cpulist, environment, isolate=isolate) == placed


def test_iothreads_go_with_the_emulator_and_those_of_the_pool_have_cpus_of_their_own() -> None:
    shared = plan(a_guest(1, 4, isolate=True, policy=IOThreadsPolicy.AUTO, disks=_DISKS), _host(), _told("2-7", CRIO))
    assert {str(pin.cpus) for pin in shared.iothreads} == {"6-7"}
    pool = plan(
        a_guest(1, 3, isolate=True, policy=IOThreadsPolicy.SUPPLEMENTAL_POOL, pool=1, disks=_DISKS),
        _host(),
        _told("2-7", CRIO),
    )
    assert [str(pin.cpus) for pin in pool.iothreads] == ["5"]
    assert (str(pool.emulator), str(pool.housekeeping)) == ("6-7", "5")


def test_a_guest_with_too_few_cpus_of_its_own_is_refused_with_the_numbers() -> None:
    with pytest.raises(DoesNotFit) as caught:
        _placed("2-7", CRIO, vcpus=5)
    assert str(caught.value) == (
        "the guest needs 5 CPUs of its own (5 vCPUs), found 4 (2-5, common 6-7; OPENSHIFT_ISOLATED_CPUS, "
        f"OPENSHIFT_SHARED_CPUS of 2-7, read from {_FILE}): request limits.cpu: 5"
    )
    with pytest.raises(DoesNotFit, match=r"found 3 \(3-5, common 2; .*: request limits.cpu: 5$"):
        _placed("2-5", {_HOUSEKEEPING: "2"})


@pytest.mark.parametrize(
    ("cpulist", "environment", "words"),
    [
        pytest.param(
            "2-6",
            CRIO,
            f"OPENSHIFT_SHARED_CPUS (6-7) names CPUs 7, which {_FILE} (2-6) does not hold",
            id="a shared CPU that is not in the cpuset",
        ),
        pytest.param(
            "2-7",
            {_ISOLATED: "0-5", _SHARED: "6-7"},
            f"OPENSHIFT_ISOLATED_CPUS (0-5) names CPUs 0-1, which {_FILE} (2-7) does not hold",
            id="an isolated CPU that is not",
        ),
        pytest.param(
            "2-7",
            {_HOUSEKEEPING: "1-2"},
            f"OPENSHIFT_HOUSEKEEPING_CPUS (1-2) names CPUs 1, which {_FILE} (2-7) does not hold",
            id="a housekeeping CPU that is not",
        ),
        pytest.param(
            "2-7",
            {"DRA_CPUSET_a": "0-5"},
            f"DRA_CPUSET_a (0-5) names CPUs 0-1, which {_FILE} (2-7) does not hold",
            id="a claim's that is not",
        ),
        pytest.param(
            "2-7",
            {_ISOLATED: "2-6", _SHARED: "6-7"},
            "OPENSHIFT_ISOLATED_CPUS (2-6) and OPENSHIFT_SHARED_CPUS (6-7) both name CPUs 6",
            id="isolated and shared",
        ),
        pytest.param(
            "2-7",
            {"DRA_CPUSET_a": "2-4", "DRA_CPUSET_b": "4-5"},
            "DRA_CPUSET_a (2-4) and DRA_CPUSET_b (4-5) both name CPUs 4",
            id="two claims of one CPU",
        ),
        pytest.param(
            "2-7",
            {**CRIO, "DRA_CPUSET_a": "2-4"},
            "OPENSHIFT_ISOLATED_CPUS (2-5) and DRA_CPUSET_a (2-4) do not name the same CPUs",
            id="a claim and what is isolated",
        ),
        pytest.param(
            "2-7",
            {_SHARED: "6-7", "DRA_CPUSET_a": "2-6"},
            "DRA_CPUSET_a (2-6) and OPENSHIFT_SHARED_CPUS (6-7) both name CPUs 6",
            id="a claim and what is shared",
        ),
        pytest.param(
            "0-7",
            CRIO,
            f"{_FILE} (0-7) holds CPUs 0-1, which neither OPENSHIFT_ISOLATED_CPUS (2-5) nor OPENSHIFT_SHARED_CPUS "
            "(6-7) names",
            id="a cpuset of the whole machine",
        ),
    ],
)
@pytest.mark.parametrize("dedicated", [True, False])
def test_a_contradiction_names_both(cpulist: str, environment: Environment, words: str, *, dedicated: bool) -> None:
    with pytest.raises(CPUsContradict) as caught:
        plan(a_guest(1, 2, dedicated=dedicated), _host(), _told(cpulist, environment))
    assert str(caught.value) == words
    assert caught.value.exit_status == 4


@pytest.mark.parametrize("name", [_ISOLATED, _SHARED, _HOUSEKEEPING, "DRA_CPUSET_3f1c"])
@pytest.mark.parametrize(
    "text", ["2-", "5-2", "all", "-1", "2;3", "0-99999999", "\udcff", "2-5 6-7", "2" * 70_000, "0x3f"]
)
def test_a_value_that_is_no_cpulist_is_named_and_quoted_in_a_short_line(name: str, text: str) -> None:
    with pytest.raises(HostError) as caught:
        read_owners({name: text})
    assert str(caught.value).startswith(f"{name}: ")
    assert str(caught.value).endswith("; wanted a list of CPUs such as 2-5")
    assert len(str(caught.value)) < 300


def test_a_cpuset_that_comes_late_is_waited_for() -> None:
    cpusets = iter(["0-7", "2-5", "2-7"])
    pinning = settle(
        lambda: _told(next(cpusets), CRIO),
        lambda allowed: plan(a_guest(1, 4, isolate=True), _host(), allowed),
        timeout_s=30.0,
        is_stopping=lambda: False,
    )
    assert str(pinning.emulator) == "6-7"


def test_one_that_never_comes_ends_with_the_contradiction() -> None:
    with pytest.raises(CPUsContradict):
        settle(
            lambda: _told("0-7", CRIO),
            lambda allowed: plan(a_guest(1, 4), _host(), allowed),
            timeout_s=0.0,
            is_stopping=lambda: False,
        )


@pytest.mark.parametrize(
    ("later", "vcpus", "emulator", "degraded"),
    [
        pytest.param("2-6", [2, 3, 4, 5], "6", False, id="a shared CPU goes"),
        pytest.param("2-4,6-7", [2, 3, 4, 2], "6-7", True, id="an own CPU goes, and no shared one takes its place"),
        pytest.param("0,2-4,6-7", [2, 3, 4, 0], "6-7", False, id="another one comes for it"),
        pytest.param("2-5", [2, 3, 4, 5], "2-5", False, id="everything shared goes"),
        pytest.param("6-7", [6, 7, 6, 7], "6-7", True, id="nothing but the shared is left"),
    ],
)
def test_a_cpuset_that_changes_later_keeps_vcpus_off_what_is_common(
    later: str, vcpus: list[int], emulator: str, *, degraded: bool
) -> None:
    guest = a_guest(1, 4)
    before = plan(guest, _host(), _told("2-7", CRIO))
    after = replan(before, guest, _host(), _told(later, CRIO))
    assert [pin.cpu for pin in after.vcpus] == vcpus
    assert (str(after.emulator), after.degraded) == (emulator, degraded)
