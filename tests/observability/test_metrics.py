"""The metrics: the table against what is exported, against its documentation, and against Prometheus' conventions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import launcher
from launcher.observe.metrics import METRICS, MetricKind, Sample, exposition, samples
from launcher.observe.schedstat import ThreadTimes
from launcher.supervise.lifecycle import Phase
from launcher.supervise.snapshot import Snapshot
from tests.observability.snapshots import TEN_O_CLOCK, drifted, lying, snapshot

TIMES = {
    4711: ThreadTimes(last_cpu=3, ran_s=1.5, waited_s=0.25),
    4712: ThreadTimes(last_cpu=3, ran_s=9.0, waited_s=9.0),
    4715: ThreadTimes(last_cpu=3, ran_s=0.5, waited_s=0.125),
    4718: ThreadTimes(last_cpu=1, ran_s=3600.0, waited_s=0.5),
    4719: ThreadTimes(last_cpu=5, ran_s=None, waited_s=None),
}
KVM = {
    "vcpu.current": 2,
    "vcpu.0.state": 1,
    "vcpu.0.exits.sum": 5468522,
    "vcpu.0.halt_exits.sum": 132437,
    "vcpu.0.halt_attempted_poll.sum": 20,
    "vcpu.0.halt_successful_poll.sum": 10,
    "vcpu.0.halt_poll_success_ns.sum": 500_000_000,
    "vcpu.0.halt_poll_fail_ns.sum": 250_000_000,
    "vcpu.0.halt_wait_ns.sum": 7_000_000_000,
    "vcpu.0.preemption_reported.sum": 43,
    "vcpu.0.preemption_other.sum": 16,
    "vcpu.0.guest_mode.cur": 0,
    "vcpu.0.pf_fast.sum": 77,
    "vcpu.11.exits.sum": 9,
}


def _exported(seen: Snapshot | None = None) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return what Prometheus' own reader makes of the text."""
    text = exposition(seen, TIMES, KVM).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _family_name(name: str, kind: MetricKind) -> str:
    return name.removesuffix("_total") if kind is MetricKind.COUNTER else name


def test_what_is_exported_is_the_table() -> None:
    text = exposition(snapshot(), TIMES, KVM).decode()
    exported = [
        (family.name, family.type, family.documentation, {tuple(sorted(sample.labels)) for sample in family.samples})
        for family in text_string_to_metric_families(text)
    ]
    table = [
        (_family_name(row.name, row.kind), row.kind.value, row.help, {tuple(sorted(row.labels))}) for row in METRICS
    ]
    assert exported == table


def test_the_readme_documents_the_table() -> None:
    readme = (Path(launcher.__file__).parent / "observe/README.md").read_text()
    documented = re.findall(r"^\| `(virt_launcher_\w+)` \| (\w+) \| (.*) \| (.*) \|$", readme, re.MULTILINE)
    table = [(row.name, row.kind.value, ", ".join(f"`{label}`" for label in row.labels), row.help) for row in METRICS]
    assert documented == table


@pytest.mark.parametrize("row", METRICS, ids=lambda row: row.name)
def test_a_name_follows_the_conventions(row: object) -> None:
    assert isinstance(row, type(METRICS[0]))
    assert re.fullmatch(r"virt_launcher_[a-z_]+", row.name)
    assert row.name.endswith("_total") is (row.kind is MetricKind.COUNTER)
    assert not re.search(r"_(ns|ms|us|milliseconds|kib|mib|percent)(_|$)", row.name), "base units alone"
    assert row.help.endswith(".")


def test_names_are_there_once() -> None:
    assert len({row.name for row in METRICS}) == len(METRICS)


ROWS = {
    "run time is in seconds": ("thread_run_seconds_total", {"role": "vcpu", "number": "0"}, 3600.0),
    "run-queue delay is in seconds": ("thread_run_queue_delay_seconds_total", {"role": "vcpu", "number": "0"}, 0.5),
    "an IOThread is timed": ("thread_run_seconds_total", {"role": "iothread", "number": "1"}, 0.5),
    "the emulator is timed": ("thread_run_queue_delay_seconds_total", {"role": "emulator", "number": ""}, 0.25),
    "workers are not timed": ("thread_run_seconds_total", {"role": "worker", "number": ""}, None),
    "a thread without times has none": ("thread_run_seconds_total", {"role": "vcpu", "number": "1"}, None),
    "but the CPU that it was on": ("thread_last_cpu", {"role": "vcpu", "number": "1"}, 5.0),
    "KVM's exits are counted": ("kvm_exits_total", {"vcpu": "0"}, 5468522.0),
    "KVM's exits of vCPU 11, too": ("kvm_exits_total", {"vcpu": "11"}, 9.0),
    "KVM's nanoseconds become seconds": ("kvm_halt_poll_success_seconds_total", {"vcpu": "0"}, 0.5),
    "the phase that is": ("guest_phase", {"phase": "running"}, 1.0),
    "the phase that is not": ("guest_phase", {"phase": "paused"}, 0.0),
    "memory is in bytes": ("guest_memory_bytes", {}, float(1 << 30)),
    "the cpuset's size": ("cpuset_cpus", {}, 3.0),
    "the cpuset's changes": ("cpuset_changes_total", {}, 1.0),
    "drifts by role": ("drifts_total", {"role": "vcpu"}, 3.0),
    "repairs by role": ("repairs_total", {"role": "vcpu"}, 2.0),
    "a role without repairs has zero": ("repairs_total", {"role": "iothread"}, 0.0),
    "a step of the start": ("start_up_seconds", {"step": "plan"}, 0.25),
    "verified is 1": ("pinning_verified", {}, 1.0),
    "the evidence that is": ("cpus_exclusive", {"evidence": "proven"}, 1.0),
    "the evidence that is not": ("cpus_exclusive", {"evidence": "shared"}, 0.0),
    "a condition has one status": ("condition", {"type": "Ready", "status": "True"}, 1.0),
    "a condition has not the others": ("condition", {"type": "Ready", "status": "Unknown"}, 0.0),
}


@pytest.mark.parametrize(("name", "labels", "value"), ROWS.values(), ids=ROWS)
def test_a_running_guest_exports(name: str, labels: dict[str, str], value: float | None) -> None:
    assert _exported(snapshot()).get((f"virt_launcher_{name}", tuple(sorted(labels.items())))) == value


def test_memory_is_told_by_cell_and_node_and_what_is_elsewhere() -> None:
    exported = _exported(snapshot(memory=lying(1, {0: 4096, 1: 1 << 30}, cell=1), memory_look_s=0.25))
    assert {key: value for key, value in exported.items() if "node_bytes" in key[0] or "elsewhere" in key[0]} == {
        ("virt_launcher_guest_memory_node_bytes", (("cell", "1"), ("node", "0"))): 4096.0,
        ("virt_launcher_guest_memory_node_bytes", (("cell", "1"), ("node", "1"))): float(1 << 30),
        ("virt_launcher_guest_memory_elsewhere_bytes", (("cell", "1"),)): 4096.0,
    }
    assert exported["virt_launcher_memory_look_seconds", ()] == 0.25
    whole = _exported(snapshot(memory=lying(None, {0: 4096})))
    assert whole["virt_launcher_guest_memory_node_bytes", (("cell", ""), ("node", "0"))] == 4096.0
    assert not [name for name, _ in whole if "elsewhere" in name]


def test_a_drifted_guest_is_not_verified_and_says_who_drifted() -> None:
    exported = _exported(drifted())
    assert exported["virt_launcher_pinning_verified", ()] == 0.0
    assert exported["virt_launcher_threads_drifted", (("role", "vcpu"),)] == 1.0
    assert exported["virt_launcher_threads_drifted", (("role", "iothread"),)] == 1.0
    assert ("virt_launcher_pinning_verified_time_seconds", ()) not in exported


def test_of_a_guest_that_is_not_watched_nothing_is_claimed_but_when_it_was_verified() -> None:
    exported = _exported(snapshot(is_watched=False))
    names = {name for name, _labels in exported}
    assert not names & {"virt_launcher_pinning_verified", "virt_launcher_threads_drifted"}
    assert exported["virt_launcher_pinning_verified_time_seconds", ()] == TEN_O_CLOCK + 5


@pytest.mark.parametrize("phase", Phase)
def test_a_guest_is_in_exactly_one_phase(phase: Phase) -> None:
    exported = _exported(snapshot(phase=phase))
    assert sum(value for (name, _), value in exported.items() if name == "virt_launcher_guest_phase") == 1.0


def test_without_a_guest_there_is_the_build_alone() -> None:
    assert {name for name, _labels in _exported(None)} == {"virt_launcher_build_info"}


def test_names_with_quotes_and_line_feeds_stay_one_label() -> None:
    odd = 'a"b\\c\nd'
    exported = _exported(snapshot(name=odd))
    (labels,) = [dict(labels) for name, labels in exported if name == "virt_launcher_guest_info"]
    assert labels["name"] == odd


def test_the_loop_s_silence_is_the_time_since_its_beat() -> None:
    found = samples(snapshot(beat_s=100.0), {}, {}, monotonic_s=102.5)
    assert Sample(name="virt_launcher_loop_silence_seconds", value=2.5) in tuple(found)
