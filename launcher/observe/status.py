"""The status document: what `/status` and the control socket say of a guest, as JSON's own types."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping

from launcher import __version__
from launcher.observe.schedstat import ThreadTimes, read_thread_times
from launcher.planner.document import to_json
from launcher.supervise.conditions import conditions, rfc3339
from launcher.supervise.drift import planned_cpus, required_threads
from launcher.supervise.memory_map import Whereabouts
from launcher.supervise.roles import ObservedThread, ThreadKind
from launcher.supervise.snapshot import Condition, ConditionStatus, ConditionType, Count, Snapshot

Document = dict[str, object]

# Returns the newest snapshot; None before there is one.
Latest = Callable[[], Snapshot | None]


def status_now(snapshot: Snapshot | None) -> Document:
    """Read the times of the snapshot's threads and return its status."""
    now = time.time()
    if snapshot is None:
        return starting_document(now=now)
    return status_document(snapshot, now=now, thread_times=times_of(snapshot))


def times_of(snapshot: Snapshot) -> Mapping[int, ThreadTimes]:
    """Read what the scheduler has counted for the snapshot's threads, by thread id."""
    return read_thread_times(snapshot.pid, (thread.tid for thread in snapshot.threads))


def status_document(snapshot: Snapshot, *, now: float, thread_times: Mapping[int, ThreadTimes]) -> Document:
    """Return the status of a guest; `now` is in seconds since the epoch, `thread_times` are by thread id.

    Keys are stable, additions allowed. Moments are RFC 3339 text in UTC, CPUs cpulists, durations seconds. A thread's
    `last_cpu`, `ran_seconds` and `waited_seconds` are null where the kernel did not say.
    """
    recorded = snapshot.conditions or conditions((), snapshot, now)
    return {
        "version": __version__,
        "time": rfc3339(now),
        "namespace": snapshot.namespace,
        "name": snapshot.name,
        "uuid": snapshot.uuid,
        "pid": snapshot.pid,
        "virt_type": snapshot.virt_type,
        "memory_bytes": snapshot.memory_bytes,
        "memory": [_memory(one) for one in snapshot.memory],
        "phase": snapshot.phase.value,
        "phase_since": rfc3339(snapshot.phase_since),
        "conditions": [_condition(condition) for condition in recorded],
        "verified_at": None if snapshot.verified_at is None else rfc3339(snapshot.verified_at),
        "plan": json.loads(to_json(snapshot.pinning)),
        "cpuset": {
            "cpus": snapshot.cpuset,
            "source": snapshot.cpuset_source,
            "changes": snapshot.cpuset_changes,
            "resized": snapshot.cpuset_resized,
            "exclusivity": snapshot.exclusivity.value,
            "exclusivity_reason": snapshot.exclusivity_reason,
        },
        "threads": _threads(snapshot, thread_times),
        "missing_threads": [str(drift.role) for drift in snapshot.drifts if drift.tid is None],
        "drifts": _counts(snapshot.drift_counts),
        "repairs": _counts(snapshot.repair_counts),
        "start_up_seconds": {step.name: step.seconds for step in snapshot.start_up},
    }


def starting_document(*, now: float) -> Document:
    """Return the status of a launcher that has no guest yet."""
    condition = Condition(
        type=ConditionType.READY,
        status=ConditionStatus.FALSE,
        reason="Starting",
        message="the guest is not started yet",
        since=now,
    )
    return {
        "version": __version__,
        "time": rfc3339(now),
        "phase": "starting",
        "conditions": [_condition(condition)],
        "threads": [],
    }


def _memory(one: Whereabouts) -> Document:
    """Return where a cell's pages are, or, with neither cell nor node, those of a guest without cells."""
    return {
        "cell": one.share.cell,
        "node": one.share.node,
        "page_bytes": one.page_bytes,
        "bytes_on": {str(node): size for node, size in one.bytes_on},
    }


def _condition(condition: Condition) -> Document:
    return {
        "type": condition.type.value,
        "status": condition.status.value,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": rfc3339(condition.since),
    }


def _threads(snapshot: Snapshot, thread_times: Mapping[int, ThreadTimes]) -> list[Document]:
    required = required_threads(snapshot.pinning, snapshot.vcpus)
    pinning = snapshot.pinning
    shared = {pin.vcpu for pin in pinning.shared}
    return [
        {
            **_thread(thread, str(planned_cpus(thread.role, pinning, required)), thread_times.get(thread.tid)),
            # Only a vCPU can be meant to wait for a CPU now and then.
            **({"shared": True} if thread.role.kind is ThreadKind.VCPU and thread.role.number in shared else {}),
        }
        for thread in snapshot.threads
    ]


def _thread(thread: ObservedThread, planned: str, times: ThreadTimes | None) -> Document:
    return {
        "tid": thread.tid,
        "name": thread.name,
        "role": str(thread.role),
        "planned": planned,
        "actual": str(thread.cpus),
        "verified": str(thread.cpus) == planned,
        "last_cpu": None if times is None else times.last_cpu,
        "ran_seconds": None if times is None else times.ran_s,
        "waited_seconds": None if times is None else times.waited_s,
    }


def _counts(counts: tuple[Count, ...]) -> dict[str, int]:
    """Return how often it happened for every kind of thread, those to which it never did too."""
    times = {count.kind: count.times for count in counts}
    return {kind.value: times.get(kind, 0) for kind in ThreadKind}
