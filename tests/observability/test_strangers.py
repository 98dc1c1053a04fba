"""Who else runs on the vCPUs' CPUs: seen in trees written here, and of a real process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from launcher.cpuset import CPUSet
from launcher.observe.strangers import Look, Sighting, look, strangers
from tests.observability.processes import qemu_like

KTHREAD = 0x00200000


def _write(proc: Path, pid: int, tid: int, *, cpu: int, ran_ns: int, name: str = "prog", flags: int = 0) -> None:
    folder = proc / f"{pid}/task/{tid}"
    folder.mkdir(parents=True, exist_ok=True)
    middle = " ".join(["0"] * 4 + ["5", "5"] + ["0"] * 23)
    (folder / "stat").write_text(f"{tid} ({name}) R 1 1 1 0 -1 {flags} {middle} {cpu} 0 0\n")
    (folder / "schedstat").write_text(f"{ran_ns} 0 1\n")
    (folder / "comm").write_text(f"{name}\n")


def _look(proc: Path, **changes: int) -> Look:
    return look(CPUSet.parse("2,5"), except_pid=100, proc=str(proc), **changes)


def _told(before: Look, after: Look) -> list[tuple[int, float | None]]:
    return [(stranger.sighting.tid, stranger.ran_s) for stranger in strangers(before, after)]


def test_a_thread_that_ran_on_a_vcpu_s_cpu_is_a_stranger(tmp_path: Path) -> None:
    _write(tmp_path, 7, 8, cpu=5, ran_ns=1_000_000_000)
    before = _look(tmp_path)
    _write(tmp_path, 7, 8, cpu=5, ran_ns=1_500_000_000)
    assert _told(before, _look(tmp_path)) == [(8, 0.5)]


def test_a_thread_that_sleeps_there_is_none(tmp_path: Path) -> None:
    _write(tmp_path, 7, 8, cpu=5, ran_ns=1_000_000_000)
    before = _look(tmp_path)
    assert _told(before, _look(tmp_path)) == []


def test_a_thread_on_another_cpu_is_none(tmp_path: Path) -> None:
    _write(tmp_path, 7, 8, cpu=3, ran_ns=1)
    before = _look(tmp_path)
    _write(tmp_path, 7, 8, cpu=3, ran_ns=9)
    assert _told(before, _look(tmp_path)) == []


def test_a_thread_that_came_in_between_is_one(tmp_path: Path) -> None:
    _write(tmp_path, 7, 8, cpu=3, ran_ns=1)
    before = _look(tmp_path)
    _write(tmp_path, 7, 8, cpu=2, ran_ns=9)
    assert _told(before, _look(tmp_path)) == [(8, None)]


def test_the_guest_s_own_threads_are_none(tmp_path: Path) -> None:
    _write(tmp_path, 100, 101, cpu=5, ran_ns=1)
    before = _look(tmp_path)
    _write(tmp_path, 100, 101, cpu=5, ran_ns=9)
    assert _told(before, _look(tmp_path)) == []


def test_programs_come_before_the_kernel_and_the_busiest_first(tmp_path: Path) -> None:
    kinds = ((1, 900, KTHREAD), (2, 100, 0), (3, 500, 0))
    for tid, _ran, flags in kinds:
        _write(tmp_path, tid, tid, cpu=5, ran_ns=0, flags=flags)
    before = _look(tmp_path)
    for tid, ran, flags in kinds:
        _write(tmp_path, tid, tid, cpu=5, ran_ns=ran, flags=flags)
    assert [tid for tid, _ in _told(before, _look(tmp_path))] == [3, 2, 1]


def test_a_machine_with_too_many_threads_is_not_gone_through_to_the_end(tmp_path: Path) -> None:
    for tid in range(1, 11):
        _write(tmp_path, tid, tid, cpu=5, ran_ns=1)
    seen = _look(tmp_path, most_threads=4)
    assert (sorted(seen.sightings), seen.is_whole) == ([1, 2, 3, 4], False)


def test_who_was_perhaps_there_before_is_not_accused(tmp_path: Path) -> None:
    """The look before was cut off."""
    sighting = Sighting(pid=7, tid=8, name="x", cpu=5, is_kernel=False, ran_s=1.0)
    assert strangers(Look(is_whole=False), Look(sightings={8: sighting})) == ()


def test_processes_that_end_meanwhile_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "7/task/8").mkdir(parents=True)
    (tmp_path / "9").mkdir()
    (tmp_path / "self").mkdir()
    assert _look(tmp_path).sightings == {}


def test_a_real_process_is_seen_to_run_on_its_cpu() -> None:
    cpu = max(os.sched_getaffinity(0))
    code = "import sys; print(flush=True)\nfor line in sys.stdin:\n sum(range(300000)); print(flush=True)"
    command = ["taskset", "-c", str(cpu), sys.executable, "-S", "-c", code]
    with (
        qemu_like(f"qemu-system-x86={cpu}") as qemu,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as busy,
    ):
        assert busy.stdin is not None
        assert busy.stdout is not None
        busy.stdout.readline()
        before = look(CPUSet.of((cpu,)), except_pid=qemu)
        busy.stdin.write("go\n")
        busy.stdin.flush()
        busy.stdout.readline()
        found = {
            stranger.sighting.pid: stranger for stranger in strangers(before, look(CPUSet.of((cpu,)), except_pid=qemu))
        }
        busy.stdin.close()
    assert found[busy.pid].sighting.cpu == cpu
    assert (found[busy.pid].ran_s or 0) > 0
    assert not found[busy.pid].sighting.is_kernel
    assert qemu not in found
