"""The cpuset under watch: what counts as a change, and what is told of a cpuset that cannot be read."""

from __future__ import annotations

import logging

import pytest

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.model import AllowedCPUs
from launcher.supervise.cpuset_watch import LOOKS_BETWEEN_TIMES, CpusetWatch
from launcher.supervise.exclusivity import Grade
from launcher.supervise.snapshot import Exclusivity


class Cpuset:
    """A cpuset that says what the test has it say; a reason in the place of the CPUs cannot be read."""

    def __init__(self, *says: str) -> None:
        self.says = list(says)
        self.weighed: list[str] = []

    def read(self) -> AllowedCPUs:
        return AllowedCPUs(cpus=_cpus(self.says.pop(0)), source="test")

    def weigh(self, cpus: CPUSet) -> Grade:
        self.weighed.append(str(cpus))
        if cpus == _cpus("9"):
            raise HostError("no evidence")
        return Grade(exclusivity=Exclusivity.SHARED, reason=f"weighed {cpus}")

    def watch(self) -> CpusetWatch:
        return CpusetWatch(AllowedCPUs(cpus=_cpus("0-3"), source="plan"), read=self.read, weigh=self.weigh)


def _cpus(text: str) -> CPUSet:
    if text.startswith("unreadable"):
        raise HostError(text)
    return CPUSet.parse(text)


def test_the_same_cpus_read_again_are_no_change() -> None:
    cpuset = Cpuset("0-3", "0,1,2,3")
    watch = cpuset.watch()
    assert [watch.has_changed(), watch.has_changed()] == [False, False]
    assert (watch.changes, watch.allowed.source, cpuset.weighed) == (0, "plan", ["0-3"])


def test_a_container_that_was_resized_in_place_is_told_once_and_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    times = [4, 5, 5, None, 4]
    looks = LOOKS_BETWEEN_TIMES * len(times)
    cpuset = Cpuset(*["0-3"] * looks)
    watch = CpusetWatch(
        AllowedCPUs(cpus=_cpus("0-3"), source="plan"),
        read=cpuset.read,
        weigh=cpuset.weigh,
        read_time=lambda: times.pop(0),
    )
    told: list[str] = []
    with caplog.at_level(logging.WARNING):
        for _turn in range(looks // LOOKS_BETWEEN_TIMES):
            assert [watch.has_changed() for _look in range(LOOKS_BETWEEN_TIMES)] == [False] * LOOKS_BETWEEN_TIMES
            told.append(watch.resized.partition(":")[0])
    words = "the container may use 5 CPUs' time, its cpuset is still 0-3"
    assert told == ["", words, words, "", ""]
    assert [record.message.split(":")[1].strip() for record in caplog.records] == [
        words,
        "the container's time is that of its cpuset again",
    ]


def test_other_cpus_are_a_change_and_their_evidence_is_weighed_anew() -> None:
    watch = Cpuset("0-1", "0-1", "0-3").watch()
    assert [watch.has_changed() for _look in range(3)] == [True, False, True]
    assert (watch.changes, str(watch.allowed.cpus), watch.grade.reason) == (2, "0-3", "weighed 0-3")


def test_a_cpuset_that_cannot_be_read_is_told_once_for_each_reason_and_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = Cpuset("unreadable: gone", "unreadable: gone", "unreadable: torn", "0-3", "unreadable: torn").watch()
    with caplog.at_level(logging.WARNING):
        assert not any(watch.has_changed() for _look in range(5))
    assert caplog.messages == [f"cpuset not read: unreadable: {reason}" for reason in ("gone", "torn", "torn")]
    assert (watch.changes, str(watch.allowed.cpus)) == (0, "0-3")


def test_a_change_whose_evidence_cannot_be_read_is_taken_up_when_it_can() -> None:
    watch = Cpuset("9", "8").watch()
    assert [watch.has_changed(), str(watch.allowed.cpus)] == [False, "0-3"]
    assert [watch.has_changed(), str(watch.allowed.cpus)] == [True, "8"]
