"""The conditions: what a snapshot means, as the few claims that people and programs wait for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from launcher.supervise.lifecycle import Phase
from launcher.supervise.memory_watch import misplaced, placed, shares_of
from launcher.supervise.snapshot import (
    Condition,
    ConditionStatus,
    ConditionType,
    Exclusivity,
    Snapshot,
)

# What was true at the start and is nobody's claim since.
_NOT_WATCHED = "NotWatched"

# A message names so many drifted threads; the status lists all of them anyway.
_MOST_NAMED = 8


class _Claim(Struct, frozen=True, kw_only=True):
    """A condition without its time."""

    type: ConditionType
    status: ConditionStatus
    reason: str
    message: str


def with_conditions(snapshot: Snapshot, *, previous: Snapshot | None, now: float) -> Snapshot:
    """Return the snapshot with its conditions; `now` is in seconds since the epoch.

    A condition whose status is that of the previous snapshot keeps its time (Kubernetes API conventions,
    "lastTransitionTime"), whatever becomes of reason and message.
    """
    return replace(snapshot, conditions=conditions(previous.conditions if previous else (), snapshot, now))


def conditions(previous: Iterable[Condition], snapshot: Snapshot, now: float) -> tuple[Condition, ...]:
    """Return every condition of the snapshot, in the order of `ConditionType`."""
    before = {condition.type: condition for condition in previous}
    return tuple(_since(before.get(claim.type), claim, now) for claim in _claims(snapshot))


def condition_of(snapshot: Snapshot, type_: ConditionType) -> Condition:
    """Return one condition of the snapshot: the recorded one, else as the snapshot has it, since its phase began."""
    all_ = snapshot.conditions or conditions((), snapshot, snapshot.phase_since)
    return next(condition for condition in all_ if condition.type is type_)


def _since(before: Condition | None, claim: _Claim, now: float) -> Condition:
    kept = before is not None and before.status is claim.status
    since = before.since if before is not None and kept else now
    return Condition(type=claim.type, status=claim.status, reason=claim.reason, message=claim.message, since=since)


def _claims(snapshot: Snapshot) -> tuple[_Claim, ...]:
    pinning = _pinning_verified(snapshot)
    return (
        _ready(snapshot, pinning),
        pinning,
        _cpus_exclusive(snapshot),
        _agent_connected(snapshot),
        _paused(snapshot),
        *_devices_present(snapshot),
        *_memory_local(snapshot),
    )


def _ready(snapshot: Snapshot, pinning: _Claim) -> _Claim:
    """Running and verified (DESIGN, "Proof and supervision"); who does not want it watched wants no probe to fail."""
    if snapshot.phase is not Phase.RUNNING:
        return _claim(
            ConditionType.READY, ConditionStatus.FALSE, _word(snapshot.phase), f"the guest is {snapshot.phase}"
        )
    if snapshot.is_stopped:
        message = "QEMU was stopped by a signal or a debugger; SIGCONT lets it go on"
        return _claim(ConditionType.READY, ConditionStatus.FALSE, "QEMUStopped", message)
    if pinning.reason == _NOT_WATCHED:
        message = f"the guest runs, and its pinning was {pinning.message}"
        return _claim(ConditionType.READY, ConditionStatus.TRUE, "RunningUnwatched", message)
    if pinning.status is not ConditionStatus.TRUE:
        return _claim(ConditionType.READY, ConditionStatus.FALSE, pinning.reason, pinning.message)
    if snapshot.cpuset_fault:
        message = f"the container's cpuset cannot be read: {snapshot.cpuset_fault}"
        return _claim(ConditionType.READY, ConditionStatus.FALSE, "CPUsetUnreadable", message)
    return _claim(
        ConditionType.READY, ConditionStatus.TRUE, "RunningAndVerified", "the guest runs, and its pinning is verified"
    )


def _pinning_verified(snapshot: Snapshot) -> _Claim:
    type_ = ConditionType.PINNING_VERIFIED
    if snapshot.phase is Phase.ENDED:
        return _claim(type_, ConditionStatus.UNKNOWN, "Ended", "the guest has no threads any more")
    if snapshot.drifts:
        return _claim(type_, ConditionStatus.FALSE, "Drifted", _drifts_in_words(snapshot))
    if snapshot.verified_at is None:
        return _claim(type_, ConditionStatus.UNKNOWN, "NotYetVerified", "the threads' affinity was not compared yet")
    if not snapshot.is_watched:
        message = f"as planned at {rfc3339(snapshot.verified_at)}, and not looked at since: --drift off"
        return _claim(type_, ConditionStatus.UNKNOWN, _NOT_WATCHED, message)
    if snapshot.pinning.degraded:
        message = (
            f"vCPUs share CPUs that were to be theirs alone: the cpuset {snapshot.pinning.cpuset} no longer suffices"
        )
        return _claim(type_, ConditionStatus.FALSE, "CPUsetTooSmall", message)
    return _claim(type_, ConditionStatus.TRUE, "AsPlanned", _proof_in_words(snapshot))


def _proof_in_words(snapshot: Snapshot) -> str:
    pinned = "" if snapshot.pinning.vcpus else "; the guest has no dedicated CPUs"
    if snapshot.pinning.vcpus and snapshot.pinning.shared:
        pinned = f"; {len(snapshot.pinning.shared)} of {snapshot.vcpus} vCPUs share CPUs, as the manifest has it"
    return f"the kernel reports the planned affinity for {len(snapshot.threads)} threads{pinned}"


def _drifts_in_words(snapshot: Snapshot) -> str:
    named = "; ".join(map(str, snapshot.drifts[:_MOST_NAMED]))
    more = len(snapshot.drifts) - _MOST_NAMED
    return f"{named}; and {more} more" if more > 0 else named


def _cpus_exclusive(snapshot: Snapshot) -> _Claim:
    status = {
        Exclusivity.PROVEN: ConditionStatus.TRUE,
        Exclusivity.LIKELY: ConditionStatus.UNKNOWN,
        Exclusivity.SHARED: ConditionStatus.FALSE,
    }[snapshot.exclusivity]
    message = snapshot.exclusivity_reason or "no evidence was found"
    return _claim(ConditionType.CPUS_EXCLUSIVE, status, _word(snapshot.exclusivity), message)


def _agent_connected(snapshot: Snapshot) -> _Claim:
    type_ = ConditionType.AGENT_CONNECTED
    if snapshot.agent_connected is None:
        return _claim(type_, ConditionStatus.UNKNOWN, "NoChannel", "the guest has no agent channel")
    if snapshot.agent_connected:
        return _claim(type_, ConditionStatus.TRUE, "Connected", "the guest's agent listens")
    return _claim(type_, ConditionStatus.FALSE, "NotConnected", "no agent of the guest listens")


def _paused(snapshot: Snapshot) -> _Claim:
    type_ = ConditionType.PAUSED
    if snapshot.phase is not Phase.PAUSED:
        return _claim(type_, ConditionStatus.FALSE, "NotPaused", f"the guest is {snapshot.phase}")
    why = snapshot.paused_reason or "for an unknown reason"
    return _claim(
        type_, ConditionStatus.TRUE, _word(snapshot.paused_reason) or "Unknown", f"the guest's CPUs stand still: {why}"
    )


def _devices_present(snapshot: Snapshot) -> tuple[_Claim, ...]:
    """Say whether the host's devices are still the guest's; a guest without any has no such condition."""
    type_ = ConditionType.DEVICES_PRESENT
    if not snapshot.devices:
        return ()
    if snapshot.phase is Phase.ENDED:
        return (_claim(type_, ConditionStatus.UNKNOWN, "Ended", "the guest has no devices any more"),)
    if snapshot.device_faults:
        return (_claim(type_, ConditionStatus.FALSE, "DeviceLost", "; ".join(snapshot.device_faults[:_MOST_NAMED])),)
    number = f"{snapshot.devices} devices are" if snapshot.devices > 1 else "1 device is"
    return (_claim(type_, ConditionStatus.TRUE, "AllThere", f"the guest's {number} there, bound as at the start"),)


def _memory_local(snapshot: Snapshot) -> tuple[_Claim, ...]:
    """Say whether the memory is where its vCPUs are; a guest that is pinned nowhere has no such condition."""
    type_ = ConditionType.MEMORY_LOCAL
    if not shares_of(snapshot.pinning, snapshot.memory_bytes):
        return ()
    return (_claim(type_, *_memory_in_words(snapshot)),)


def _memory_in_words(snapshot: Snapshot) -> tuple[ConditionStatus, str, str]:
    if snapshot.phase is Phase.ENDED:
        return ConditionStatus.UNKNOWN, "Ended", "the guest has no memory any more"
    if snapshot.memory_fault:
        return ConditionStatus.UNKNOWN, "Unreadable", snapshot.memory_fault
    if not snapshot.memory:
        return ConditionStatus.UNKNOWN, "NotYetLooked", "where the memory lies was not looked at yet"
    if wrong := misplaced(snapshot.memory):
        return ConditionStatus.FALSE, "PagesElsewhere", "; ".join(wrong[:_MOST_NAMED])
    where = placed(snapshot.memory[:_MOST_NAMED])
    if any(one.share.node is None for one in snapshot.memory):
        message = f"its vCPUs are on several nodes, and it is bound to none; {where}"
        return ConditionStatus.UNKNOWN, "NotBound", message
    return ConditionStatus.TRUE, "WhereItBelongs", where


def _claim(type_: ConditionType, status: ConditionStatus, reason: str, message: str) -> _Claim:
    return _Claim(type=type_, status=status, reason=reason, message=message)


def _word(text: str) -> str:
    """Write words as one, as the reason of a condition has to be: "shutting down" becomes ShuttingDown."""
    letters = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in text)
    return "".join(word[:1].upper() + word[1:] for word in letters.split())


def rfc3339(seconds: float) -> str:
    """Write a moment, given in seconds since the epoch, as Kubernetes does: 2026-01-31T10:00:00Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
