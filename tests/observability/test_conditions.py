"""The conditions: what each snapshot means, and since when."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from launcher.supervise.conditions import condition_of, with_conditions
from launcher.supervise.lifecycle import Phase
from launcher.supervise.snapshot import ConditionStatus, ConditionType, Exclusivity, Snapshot
from tests.observability.snapshots import TEN_O_CLOCK, drifted, lying, pinning_of, snapshot

READY = ConditionType.READY
VERIFIED = ConditionType.PINNING_VERIFIED
EXCLUSIVE = ConditionType.CPUS_EXCLUSIVE
AGENT = ConditionType.AGENT_CONNECTED
PAUSED = ConditionType.PAUSED
MEMORY = ConditionType.MEMORY_LOCAL

ROWS = {
    "a guest that runs as planned is ready": (snapshot(), READY, "True", "RunningAndVerified"),
    "a guest that starts is not ready": (snapshot(phase=Phase.STARTING), READY, "False", "Starting"),
    "a guest that shuts down is not ready": (snapshot(phase=Phase.SHUTTING_DOWN), READY, "False", "ShuttingDown"),
    "a paused guest is not ready": (snapshot(phase=Phase.PAUSED), READY, "False", "Paused"),
    "a guest with a drifted thread is not ready": (drifted(), READY, "False", "Drifted"),
    "a running guest not yet looked at is not ready": (snapshot(verified_at=None), READY, "False", "NotYetVerified"),
    "a guest whose QEMU is stopped is not ready": (snapshot(is_stopped=True), READY, "False", "QEMUStopped"),
    "a stopped QEMU that nobody watches is not ready either": (
        snapshot(is_stopped=True, is_watched=False), READY, "False", "QEMUStopped",
    ),
    "a stopped QEMU's threads are where they were planned": (snapshot(is_stopped=True), VERIFIED, "True", "AsPlanned"),
    "affinities as planned are verified": (snapshot(), VERIFIED, "True", "AsPlanned"),
    "a drift is not verified": (drifted(), VERIFIED, "False", "Drifted"),
    "what was not compared is unknown": (snapshot(verified_at=None), VERIFIED, "Unknown", "NotYetVerified"),
    "an ended guest has no pinning": (snapshot(phase=Phase.ENDED), VERIFIED, "Unknown", "Ended"),
    "vCPUs that share CPUs are not verified": (
        snapshot(pinning=replace(pinning_of(), degraded=True)), VERIFIED, "False", "CPUsetTooSmall",
    ),
    "what is not watched is unknown": (snapshot(is_watched=False), VERIFIED, "Unknown", "NotWatched"),
    "a guest that is not watched is ready": (snapshot(is_watched=False), READY, "True", "RunningUnwatched"),
    "what is not watched is not verified before its proof": (
        snapshot(is_watched=False, phase=Phase.UNPROVED, verified_at=None), VERIFIED, "Unknown", "NotYetVerified",
    ),
    "what is not watched and differed at the last look is not verified": (
        drifted(is_watched=False), VERIFIED, "False", "Drifted",
    ),
    "a partition proves the CPUs exclusive": (snapshot(), EXCLUSIVE, "True", "Proven"),
    "a likely cpuset leaves it unknown": (snapshot(exclusivity=Exclusivity.LIKELY), EXCLUSIVE, "Unknown", "Likely"),
    "a shared cpuset is not exclusive": (snapshot(exclusivity=Exclusivity.SHARED), EXCLUSIVE, "False", "Shared"),
    "a guest without a channel has no agent to ask": (snapshot(), AGENT, "Unknown", "NoChannel"),
    "an agent that listens is connected": (snapshot(agent_connected=True), AGENT, "True", "Connected"),
    "an agent that does not listen is not connected": (snapshot(agent_connected=False), AGENT, "False", "NotConnected"),
    "memory not looked at is unknown": (snapshot(memory=()), MEMORY, "Unknown", "NotYetLooked"),
    "memory that cannot be looked at is unknown": (snapshot(memory_fault="no"), MEMORY, "Unknown", "Unreadable"),
    "memory where it belongs is local": (snapshot(memory=lying(0, {0: 8 << 20})), MEMORY, "True", "WhereItBelongs"),
    "one page elsewhere is not local": (
        snapshot(memory=lying(0, {0: 8 << 20, 1: 4096})), MEMORY, "False", "PagesElsewhere",
    ),
    "memory that belongs nowhere is not bound": (
        snapshot(memory=lying(None, {1: 4096})), MEMORY, "Unknown", "NotBound",
    ),
    "an ended guest has no memory": (snapshot(phase=Phase.ENDED), MEMORY, "Unknown", "Ended"),
    "a running guest is not paused": (snapshot(), PAUSED, "False", "NotPaused"),
    "a pause says why": (snapshot(phase=Phase.PAUSED, paused_reason="I/O error"), PAUSED, "True", "IOError"),
    "a pause without a reason is a pause": (snapshot(phase=Phase.PAUSED), PAUSED, "True", "Unknown"),
}  # fmt: skip


@pytest.mark.parametrize(("seen", "type_", "status", "reason"), ROWS.values(), ids=ROWS)
def test_a_snapshot_means(seen: Snapshot, type_: ConditionType, status: str, reason: str) -> None:
    condition = condition_of(seen, type_)
    assert (condition.status, condition.reason) == (ConditionStatus(status), reason)
    assert condition.message


def test_a_guest_that_is_pinned_nowhere_has_no_memory_out_of_place() -> None:
    floating = snapshot(pinning=replace(pinning_of(), vcpus=()))
    assert MEMORY not in [one.type for one in with_conditions(floating, previous=None, now=TEN_O_CLOCK).conditions]


def test_wrong_pages_are_named_with_cell_node_and_number() -> None:
    found = lying(1, {0: 12288, 1: 1 << 30}, cell=1)
    assert condition_of(snapshot(memory=found), MEMORY).message == (
        "cell 1, which belongs on node 1, has 3 pages of 4Ki (12Ki) on node 0"
    )


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    first = with_conditions(snapshot(verified_at=None), previous=None, now=TEN_O_CLOCK)
    moved = with_conditions(drifted(), previous=first, now=TEN_O_CLOCK + 1)
    again = with_conditions(snapshot(), previous=moved, now=TEN_O_CLOCK + 2)
    since = [condition_of(one, READY).since - TEN_O_CLOCK for one in (first, moved, again)]
    reasons = [condition_of(one, READY).reason for one in (first, moved, again)]
    assert (since, reasons) == ([0, 0, 2], ["NotYetVerified", "Drifted", "RunningAndVerified"])
    assert [condition_of(one, PAUSED).since - TEN_O_CLOCK for one in (first, moved, again)] == [0, 0, 0]


def test_a_condition_names_the_threads_that_drifted_and_what_is_missing() -> None:
    message = condition_of(drifted(), VERIFIED).message
    assert "vcpu 1 (thread 4719, 'CPU 1/KVM'): planned CPU 5, actual CPU 0-7" in message
    assert "iothread 1: QEMU has no such thread" in message


def test_a_condition_names_eight_of_many_drifts() -> None:
    many = snapshot(drifts=drifted().drifts * 6, verified_at=None)
    assert condition_of(many, VERIFIED).message.endswith("; and 4 more")


def test_a_guest_without_dedicated_cpus_says_so() -> None:
    undedicated = replace(pinning_of(), vcpus=())
    assert condition_of(snapshot(pinning=undedicated), VERIFIED).message.endswith("the guest has no dedicated CPUs")


def test_a_guest_that_is_not_watched_says_when_it_was_verified_and_why_not_since() -> None:
    message = condition_of(snapshot(is_watched=False), VERIFIED).message
    assert message == "as planned at 2026-01-31T10:00:05Z, and not looked at since: --drift off"


def test_every_type_has_a_condition_in_a_fixed_order() -> None:
    recorded = with_conditions(snapshot(), previous=None, now=TEN_O_CLOCK).conditions
    assert [condition.type for condition in recorded] == [
        one for one in ConditionType if one is not ConditionType.DEVICES_PRESENT
    ]


@pytest.mark.parametrize(
    ("changes", "claim"),
    [
        ({"devices": 1}, ("True", "AllThere", "the guest's 1 device is there, bound as at the start")),
        ({"devices": 3}, ("True", "AllThere", "the guest's 3 devices are there, bound as at the start")),
        (
            {"devices": 3, "device_faults": ("a is gone", "b is bound")},
            ("False", "DeviceLost", "a is gone; b is bound"),
        ),
        ({"devices": 3, "phase": Phase.ENDED}, ("Unknown", "Ended", "the guest has no devices any more")),
    ],
)
def test_devices_of_the_host_are_a_condition_of_a_guest_that_has_some(
    changes: dict[str, object], claim: tuple[str, str, str]
) -> None:
    found = condition_of(replace(snapshot(), **changes), ConditionType.DEVICES_PRESENT)
    assert (found.status, found.reason, found.message) == claim
