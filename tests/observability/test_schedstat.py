"""What the scheduler counted: read from trees written here, and from this process itself."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from launcher.observe.schedstat import ThreadTimes, read_thread_times

# As of a real machine; the name may hold parentheses and blanks.
STAT = (
    "{tid} ({name}) S 1 1 1 0 -1 4194560 10 0 0 0 {utime} {stime} 0 0 20 0 1 0 5 100 20 18446744073709551615 1 1 0 0 "
    "0 0 0 4096 1 0 0 0 17 {cpu} 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
)


def _write(proc: Path, tid: int, *, schedstat: str | None, name: str = "x", cpu: int = 6, utime: int = 1) -> None:
    folder = proc / f"100/task/{tid}"
    folder.mkdir(parents=True)
    (folder / "stat").write_text(STAT.format(tid=tid, name=name, cpu=cpu, utime=utime, stime=0))
    if schedstat is not None:
        (folder / "schedstat").write_text(schedstat)


ROWS = {
    "nanoseconds become seconds": (
        {"schedstat": "1500000000 250000000 42\n"},
        ThreadTimes(last_cpu=6, ran_s=1.5, waited_s=0.25),
    ),
    "a name with parentheses and blanks does not shift the fields": (
        {"schedstat": "0 0 1\n", "name": ") S 9) 9 (", "cpu": 11},
        ThreadTimes(last_cpu=11, ran_s=0.0, waited_s=0.0),
    ),
    "a kernel without the file is told by None": (
        {"schedstat": None},
        ThreadTimes(last_cpu=6, ran_s=None, waited_s=None),
    ),
    "a kernel that writes zeros for a thread that ran does not count": (
        {"schedstat": "0 0 0\n", "utime": 7},
        ThreadTimes(last_cpu=6, ran_s=None, waited_s=None),
    ),
    "a thread that has not run yet has zeros": (
        {"schedstat": "0 0 0\n", "utime": 0},
        ThreadTimes(last_cpu=6, ran_s=0.0, waited_s=0.0),
    ),
    "a CPU of a large machine": (
        {"schedstat": "1 2 3\n", "cpu": 2047},
        ThreadTimes(last_cpu=2047, ran_s=1e-9, waited_s=2e-9),
    ),
}


@pytest.mark.parametrize(("written", "expected"), ROWS.values(), ids=ROWS)
def test_a_thread_is_read(written: dict[str, object], expected: ThreadTimes, tmp_path: Path) -> None:
    _write(tmp_path, 101, **written)  # type: ignore[arg-type]  # the rows hold the arguments of _write
    assert read_thread_times(100, [101], str(tmp_path)) == {101: expected}


def test_a_thread_that_has_ended_is_left_out(tmp_path: Path) -> None:
    _write(tmp_path, 101, schedstat="1 2 3\n")
    (tmp_path / "100/task/103").mkdir()
    (tmp_path / "100/task/103/stat").write_text("")
    assert set(read_thread_times(100, [101, 102, 103], str(tmp_path))) == {101}


def test_a_process_that_has_ended_has_no_threads(tmp_path: Path) -> None:
    assert read_thread_times(100, [100, 101], str(tmp_path)) == {}


def test_this_very_thread_has_run_and_on_a_cpu_that_it_may_use() -> None:
    tid = threading.get_native_id()
    sum(range(200_000))
    times = read_thread_times(os.getpid(), [tid])[tid]
    assert times.ran_s is not None
    assert times.ran_s > 0
    assert times.last_cpu in os.sched_getaffinity(0)
