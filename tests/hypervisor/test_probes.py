"""Probes of QEMU: those that stand still are ended, those that get on are left alone."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from launcher.hypervisor.probes import LOOK_INTERVAL_S, LOOKS, ProbeWatch, probes_below

SLEEPING = "import time; print(flush=True); time.sleep(60)"
BUSY = "print(flush=True)\nwhile True: pass"
# Its first thread sleeps, another one works.
BUSY_BESIDE = f"import threading\nthreading.Thread(target=lambda: exec({BUSY!r}), daemon=True).start()\n{SLEEPING}"


@contextmanager
def probe(root: Path, program: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the program under a command line as libvirt gives its probes, and wait until it works."""
    monitor = f"unix:{root}/lib/qemu/qmp-ABC/qmp.monitor,server=on,wait=off"
    command = [sys.executable, "-c", program, "-machine", "none,accel=kvm:tcg", "-qmp", monitor]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        try:
            yield child
        finally:
            child.kill()


def settled(child: subprocess.Popen[bytes], state: str) -> None:
    """Wait until the probe's first thread is in this state, which takes a while on a busy machine."""
    stat = Path(f"/proc/{child.pid}/stat")
    deadline_s = time.monotonic() + 60
    while stat.read_text().rpartition(")")[2].split()[0] != state:
        assert time.monotonic() < deadline_s, f"the probe is not in the state {state}"
        time.sleep(0.01)


def looks(watch: ProbeWatch, now_s: list[float], number: int) -> None:
    for _look in range(number):
        now_s[0] += LOOK_INTERVAL_S
        watch.look()


@pytest.fixture
def now_s() -> list[float]:
    """The time that the watch sees."""
    return [100.0]


@pytest.fixture
def watch(tmp_path: Path, now_s: list[float]) -> ProbeWatch:
    """A watch over a root of this test's, with a clock of its own."""
    return ProbeWatch(tmp_path, clock=lambda: now_s[0])


def test_a_probe_that_stands_still_is_ended_at_the_last_look_and_not_before(
    tmp_path: Path, watch: ProbeWatch, now_s: list[float]
) -> None:
    with probe(tmp_path, SLEEPING) as child:
        settled(child, "S")
        looks(watch, now_s, 1)  # it may have been about to sleep
        looks(watch, now_s, LOOKS - 1)
        before = (child.poll(), watch.ended)
        looks(watch, now_s, 2)
        assert (before, child.wait(timeout=60), watch.ended) == ((None, 0), -signal.SIGKILL, 1)


def test_a_stopped_probe_stands_still_too(tmp_path: Path, watch: ProbeWatch, now_s: list[float]) -> None:
    with probe(tmp_path, BUSY) as child:
        child.send_signal(signal.SIGSTOP)
        settled(child, "T")
        looks(watch, now_s, LOOKS + 2)
        assert child.wait(timeout=60) == -signal.SIGKILL


@pytest.mark.parametrize("program", [BUSY, BUSY_BESIDE], ids=["in its first thread", "in another thread"])
def test_a_probe_that_works_is_left_alone(tmp_path: Path, watch: ProbeWatch, now_s: list[float], program: str) -> None:
    with probe(tmp_path, program) as child:
        looks(watch, now_s, 3 * LOOKS)
        assert (child.poll(), watch.ended) == (None, 0)


def test_a_probe_of_another_root_is_left_alone(tmp_path: Path, watch: ProbeWatch, now_s: list[float]) -> None:
    with probe(tmp_path / "other", SLEEPING) as child:
        looks(watch, now_s, 3 * LOOKS)
        assert (child.poll(), probes_below(tmp_path)) == (None, ())


def test_looks_in_quick_succession_are_one(tmp_path: Path, watch: ProbeWatch) -> None:
    with probe(tmp_path, SLEEPING) as child:
        for _look in range(10 * LOOKS):
            watch.look()
        assert (child.poll(), watch.ended) == (None, 0)
