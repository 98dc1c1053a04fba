"""The metrics: one table of what is exported, and the samples of one snapshot."""

from __future__ import annotations

import platform
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from msgspec import Struct

from launcher import __version__
from launcher.cpuset import CPUSet
from launcher.observe.schedstat import ThreadTimes
from launcher.supervise.conditions import conditions
from launcher.supervise.lifecycle import Phase
from launcher.supervise.roles import ThreadKind
from launcher.supervise.snapshot import ConditionStatus, ConditionType, Count, Exclusivity, Snapshot

_NS_PER_S = 1_000_000_000
_KVM_COUNTER = re.compile(r"vcpu\.(\d+)\.(\w+)\.sum", re.ASCII)
# Workers come and go: a sum over those that are there would run backwards.
_COUNTED_KINDS = (ThreadKind.VCPU, ThreadKind.IOTHREAD, ThreadKind.EMULATOR)


class MetricKind(StrEnum):
    """Prometheus' types, as far as they are used here."""

    COUNTER = "counter"
    GAUGE = "gauge"


class Metric(Struct, frozen=True, kw_only=True):
    """One row of the table: a metric's name, its type, its labels and what it says."""

    name: str
    kind: MetricKind
    labels: tuple[str, ...] = ()
    help: str


class Sample(Struct, frozen=True, kw_only=True):
    """One value of a metric; `labels` are the values for the metric's labels, in their order."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


def _counter(name: str, help_: str, *labels: str) -> Metric:
    return Metric(name=f"virt_launcher_{name}", kind=MetricKind.COUNTER, labels=labels, help=help_)


def _gauge(name: str, help_: str, *labels: str) -> Metric:
    return Metric(name=f"virt_launcher_{name}", kind=MetricKind.GAUGE, labels=labels, help=help_)


# In the order in which they are exported and documented (README.md beside this file).
METRICS = (
    _gauge("build_info", "Always 1; the launcher's version and that of its Python.", "version", "python"),
    _gauge("guest_info", "Always 1; which guest this launcher runs.", "namespace", "name", "uuid", "virt_type"),
    _gauge("guest_phase", "1 for the phase that the guest is in, 0 for the others.", "phase"),
    _gauge("guest_phase_start_time_seconds", "When the guest came into its phase, in seconds since the epoch."),
    _gauge("guest_memory_bytes", "The guest's memory."),
    _gauge(
        "guest_memory_node_bytes",
        'The guest\'s memory that it has touched, at the last look, by guest cell (none: "") and node of the host.',
        "cell",
        "node",
    ),
    _gauge(
        "guest_memory_elsewhere_bytes",
        "The part of it that is not on the node where it belongs; absent where it belongs on none.",
        "cell",
    ),
    _gauge("memory_look_seconds", "CPU time that the last look at where the memory lies took."),
    _gauge("guest_vcpus", "The guest's vCPUs."),
    _gauge("guest_dedicated_vcpus", "Those of them that are planned on a CPU of their own."),
    _gauge("condition", "1 for the status that the condition has, 0 for the others.", "type", "status"),
    _gauge("start_up_seconds", "How long a step of the start took.", "step"),
    _gauge("loop_silence_seconds", "Time since the supervisor's loop last went round."),
    _gauge(
        "pinning_verified",
        "1 where the kernel reports the planned affinity for every thread, else 0; absent under --drift off.",
    ),
    _gauge("pinning_verified_time_seconds", "When the whole plan was last confirmed, in seconds since the epoch."),
    _gauge("threads", "QEMU's threads at the last look.", "role"),
    _gauge("threads_drifted", "Threads that were not as planned at the last look; absent under --drift off.", "role"),
    _counter("drifts_total", "Threads found elsewhere than planned.", "role"),
    _counter("repairs_total", "Threads put back to where they were planned.", "role"),
    _gauge("plan_optimal", "1 where it is proved that no placement scores better, else 0; absent without a score."),
    _gauge("cpuset_cpus", "CPUs in the container's cpuset."),
    _counter("cpuset_changes_total", "Changes of the container's cpuset since the start."),
    _gauge("cpus_exclusive", "1 for how well it is known that the CPUs are the guest's alone, else 0.", "evidence"),
    _counter("thread_run_seconds_total", "Time that the thread ran on a CPU.", "role", "number"),
    _counter("thread_run_queue_delay_seconds_total", "Time that the thread waited for a CPU.", "role", "number"),
    _gauge("thread_last_cpu", "The CPU that the thread last ran on.", "role", "number"),
    _counter("kvm_exits_total", "Exits from the guest to the host.", "vcpu"),
    _counter("kvm_halt_exits_total", "Exits because the guest's CPU halted.", "vcpu"),
    _counter("kvm_halt_polls_total", "Times KVM polled for work before it put a halted vCPU to sleep.", "vcpu"),
    _counter("kvm_halt_polls_successful_total", "Polls that found work in time.", "vcpu"),
    _counter("kvm_halt_poll_success_seconds_total", "Time spent in polls that found work.", "vcpu"),
    _counter("kvm_halt_poll_fail_seconds_total", "Time spent in polls that found none.", "vcpu"),
    _counter("kvm_halt_wait_seconds_total", "Time that the halted vCPU slept.", "vcpu"),
    _counter("kvm_preemptions_reported_total", "Preemptions in the guest's code, told to the guest.", "vcpu"),
    _counter("kvm_preemptions_other_total", "Preemptions in the host's code.", "vcpu"),
)

# KVM's name of the counter (Documentation/virt/kvm/api.rst, KVM_GET_STATS_FD), the metric without prefix and suffix.
_KVM_COUNTS = {
    "exits": "kvm_exits_total",
    "halt_exits": "kvm_halt_exits_total",
    "halt_attempted_poll": "kvm_halt_polls_total",
    "halt_successful_poll": "kvm_halt_polls_successful_total",
    "preemption_reported": "kvm_preemptions_reported_total",
    "preemption_other": "kvm_preemptions_other_total",
}
_KVM_TIMES = {
    "halt_poll_success_ns": "kvm_halt_poll_success_seconds_total",
    "halt_poll_fail_ns": "kvm_halt_poll_fail_seconds_total",
    "halt_wait_ns": "kvm_halt_wait_seconds_total",
}


def exposition(
    snapshot: Snapshot | None, thread_times: Mapping[int, ThreadTimes], kvm_counters: Mapping[str, int]
) -> bytes:
    """Return the metrics in Prometheus' text format 0.0.4; only the build's where there is no guest yet."""
    # Late: it draws in ssl and http.server, 5 MiB (measured beside libvirt) and 75 ms.
    from prometheus_client.core import CollectorRegistry, CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415
    from prometheus_client.exposition import generate_latest  # noqa: PLC0415

    families = {
        metric.name: (CounterMetricFamily if metric.kind is MetricKind.COUNTER else GaugeMetricFamily)(
            metric.name, metric.help, labels=metric.labels
        )
        for metric in METRICS
    }
    for sample in samples(snapshot, thread_times, kvm_counters, monotonic_s=time.monotonic()):
        families[sample.name].add_metric(sample.labels, sample.value)
    registry = CollectorRegistry()
    registry.register(_Collected(tuple(family for family in families.values() if family.samples)))
    return generate_latest(registry)


T = TypeVar("T")


class _Collected(Generic[T]):
    """What prometheus-client asks for its metrics: these, already made."""

    def __init__(self, families: tuple[T, ...]) -> None:
        self._families = families

    def collect(self) -> tuple[T, ...]:
        return self._families


def samples(
    snapshot: Snapshot | None,
    thread_times: Mapping[int, ThreadTimes],
    kvm_counters: Mapping[str, int],
    *,
    monotonic_s: float,
) -> Iterator[Sample]:
    """Yield every sample of one moment; `thread_times` are by thread id, `kvm_counters` as libvirt names them."""
    yield _sample("build_info", 1, __version__, platform.python_version())
    if snapshot is None:
        return
    yield from _guest_samples(snapshot, monotonic_s)
    yield from _condition_samples(snapshot)
    yield from _pinning_samples(snapshot)
    yield from _thread_samples(snapshot, thread_times)
    yield from _kvm_samples(kvm_counters)


def _guest_samples(snapshot: Snapshot, monotonic_s: float) -> Iterator[Sample]:
    yield _sample("guest_info", 1, snapshot.namespace, snapshot.name, snapshot.uuid, snapshot.virt_type)
    yield from _state_set("guest_phase", Phase, snapshot.phase)
    yield _sample("guest_phase_start_time_seconds", snapshot.phase_since)
    yield _sample("guest_memory_bytes", snapshot.memory_bytes)
    yield from _memory_samples(snapshot)
    yield _sample("guest_vcpus", snapshot.vcpus)
    yield _sample("guest_dedicated_vcpus", len(snapshot.pinning.vcpus))
    yield from (_sample("start_up_seconds", step.seconds, step.name) for step in snapshot.start_up)
    yield _sample("loop_silence_seconds", max(monotonic_s - snapshot.beat_s, 0.0))


def _memory_samples(snapshot: Snapshot) -> Iterator[Sample]:
    for one in snapshot.memory:
        cell = "" if one.share.cell is None else str(one.share.cell)
        yield from (_sample("guest_memory_node_bytes", size, cell, str(node)) for node, size in one.bytes_on)
        if one.share.node is not None:
            yield _sample("guest_memory_elsewhere_bytes", sum(size for _, size in one.elsewhere), cell)
    if snapshot.memory:
        yield _sample("memory_look_seconds", snapshot.memory_look_s)


def _condition_samples(snapshot: Snapshot) -> Iterator[Sample]:
    for condition in snapshot.conditions or conditions((), snapshot, snapshot.phase_since):
        for status in ConditionStatus:
            yield _sample("condition", status is condition.status, condition.type, status)
        if condition.type is ConditionType.PINNING_VERIFIED and snapshot.is_watched:
            yield _sample("pinning_verified", condition.status is ConditionStatus.TRUE)


def _pinning_samples(snapshot: Snapshot) -> Iterator[Sample]:
    if snapshot.verified_at is not None:
        yield _sample("pinning_verified_time_seconds", snapshot.verified_at)
    yield from _by_kind("threads", Counter(thread.role.kind for thread in snapshot.threads))
    if snapshot.is_watched:
        yield from _by_kind("threads_drifted", Counter(drift.role.kind for drift in snapshot.drifts))
    yield from _by_kind("drifts_total", _times(snapshot.drift_counts))
    yield from _by_kind("repairs_total", _times(snapshot.repair_counts))
    if snapshot.pinning.proof is not None:
        yield _sample("plan_optimal", int(snapshot.pinning.proof.optimal))
    yield _sample("cpuset_cpus", len(CPUSet.parse(snapshot.cpuset)))
    yield _sample("cpuset_changes_total", snapshot.cpuset_changes)
    yield from _state_set("cpus_exclusive", Exclusivity, snapshot.exclusivity)


def _thread_samples(snapshot: Snapshot, thread_times: Mapping[int, ThreadTimes]) -> Iterator[Sample]:
    for thread in snapshot.threads:
        times = thread_times.get(thread.tid)
        if times is None or thread.role.kind not in _COUNTED_KINDS:
            continue
        labels = (thread.role.kind, "" if thread.role.number is None else str(thread.role.number))
        yield _sample("thread_last_cpu", times.last_cpu, *labels)
        if times.ran_s is not None and times.waited_s is not None:
            yield _sample("thread_run_seconds_total", times.ran_s, *labels)
            yield _sample("thread_run_queue_delay_seconds_total", times.waited_s, *labels)


def _kvm_samples(counters: Mapping[str, int]) -> Iterator[Sample]:
    for key, value in counters.items():
        match = _KVM_COUNTER.fullmatch(key)
        if match is None:
            continue
        vcpu, name = match.groups()
        if name in _KVM_COUNTS:
            yield _sample(_KVM_COUNTS[name], value, vcpu)
        elif name in _KVM_TIMES:
            yield _sample(_KVM_TIMES[name], value / _NS_PER_S, vcpu)


def _state_set(name: str, states: Iterable[StrEnum], actual: StrEnum) -> Iterator[Sample]:
    return (_sample(name, state is actual, state) for state in states)


def _by_kind(name: str, numbers: Mapping[ThreadKind, int]) -> Iterator[Sample]:
    return (_sample(name, numbers.get(kind, 0), kind) for kind in ThreadKind)


def _times(counts: Iterable[Count]) -> Mapping[ThreadKind, int]:
    return {count.kind: count.times for count in counts}


def _sample(name: str, value: float, *labels: str) -> Sample:
    return Sample(name=f"virt_launcher_{name}", value=float(value), labels=labels)
