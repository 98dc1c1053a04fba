"""The supervisor's state as others may read it: one frozen value, replaced whole, never changed."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from launcher.planner.model import Pinning
from launcher.supervise.drift import Drift
from launcher.supervise.lifecycle import Phase
from launcher.supervise.memory_map import Whereabouts
from launcher.supervise.roles import ObservedThread, ThreadKind


class Exclusivity(StrEnum):
    """How well it is known that nobody else uses the cpuset's CPUs."""

    PROVEN = "proven"
    LIKELY = "likely"
    SHARED = "shared"


class Count(Struct, frozen=True, kw_only=True):
    """How often something happened to threads of one kind since the launcher took over."""

    kind: ThreadKind
    times: int


class StartUpPhase(Struct, frozen=True, kw_only=True):
    """One step of the way from the process's start to the verified guest, in seconds."""

    name: str
    seconds: float


class ConditionType(StrEnum):
    """What a condition says something about, in Kubernetes' style of conditions."""

    READY = "Ready"
    PINNING_VERIFIED = "PinningVerified"
    CPUS_EXCLUSIVE = "CPUsExclusive"
    AGENT_CONNECTED = "AgentConnected"
    PAUSED = "Paused"
    DEVICES_PRESENT = "DevicesPresent"
    MEMORY_LOCAL = "MemoryLocal"


class ConditionStatus(StrEnum):
    """The three values of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Struct, frozen=True, kw_only=True):
    """One claim about the guest, with a reason for programs (one word) and a message for people.

    `since` is when the status became what it is, in seconds since the epoch.
    """

    type: ConditionType
    status: ConditionStatus
    reason: str
    message: str
    since: float


class Snapshot(Struct, frozen=True, kw_only=True):
    """What one look at the guest showed, and what has been counted so far.

    Times: `beat_s` is the loop's last turn on the monotonic clock; the others are seconds since the epoch. `threads`
    is empty before the first look and after the end. `verified_at` is when a look last confirmed the whole plan, a few
    seconds ago at most, for glances in between are not told of; None while something differs (`drifts`) or nothing was
    looked at yet. `is_watched` tells whether the threads are looked at after the proof; where they are not, `threads`
    and `drifts` are of then. `is_stopped` is QEMU's process, all of it, not the guest (`phase`).
    """

    namespace: str
    name: str
    uuid: str
    pid: int
    virt_type: str
    phase: Phase
    phase_since: float
    pinning: Pinning
    beat_s: float
    vcpus: int
    threads: tuple[ObservedThread, ...] = ()
    drifts: tuple[Drift, ...] = ()
    verified_at: float | None = None
    is_watched: bool = True
    is_stopped: bool = False
    paused_reason: str = ""
    drift_counts: tuple[Count, ...] = ()
    repair_counts: tuple[Count, ...] = ()
    cpuset: str = ""
    cpuset_source: str = ""
    cpuset_changes: int = 0
    # Why the cpuset cannot be read any more; empty while it can.
    cpuset_fault: str = ""
    # That the container was given another number of CPUs than its cpuset holds; empty while it was not.
    cpuset_resized: str = ""
    exclusivity: Exclusivity = Exclusivity.SHARED
    exclusivity_reason: str = ""
    start_up: tuple[StartUpPhase, ...] = ()
    # None where the guest has no agent channel.
    agent_connected: bool | None = None
    # How many devices of the host the guest was given, and what is wrong with them.
    devices: int = 0
    device_faults: tuple[str, ...] = ()
    memory_bytes: int = 0
    # Where its pages were at the last look, which took so much CPU time, and why that is not known.
    memory: tuple[Whereabouts, ...] = ()
    memory_look_s: float = 0.0
    memory_fault: str = ""
    # What `launcher.supervise.conditions` made of the rest; empty where nobody has asked it to.
    conditions: tuple[Condition, ...] = ()
