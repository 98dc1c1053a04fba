"""The observer of threads, on this very process and one that is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from launcher.cpuset import CPUSet
from launcher.supervise.roles import Role, ThreadKind
from launcher.supervise.threads import ThreadObserver, set_affinity
from tests.faults.places import wait_until
from tests.observability.processes import qemu_like


@pytest.fixture
def thread() -> Iterator[int]:
    """A thread of this process with the name of a vCPU; yields its kernel id."""
    ids: list[int] = []
    ready, stop = threading.Event(), threading.Event()

    def run() -> None:
        ids.append(threading.get_native_id())
        Path(f"/proc/self/task/{ids[0]}/comm").write_text("CPU 3/TCG")
        ready.set()
        stop.wait(30)

    running = threading.Thread(target=run)
    running.start()
    ready.wait(30)
    yield ids[0]
    stop.set()
    running.join()


@contextmanager
def _waiting_thread() -> Iterator[int]:
    """Run a thread of this process meanwhile; yield its kernel id. It is gone from the kernel, too, afterwards."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, args=(30,))
    thread.start()
    assert thread.native_id is not None
    yield thread.native_id
    stop.set()
    thread.join()
    while Path(f"/proc/self/task/{thread.native_id}").exists():
        time.sleep(0.001)


def test_a_thread_is_seen_with_role_and_affinity_and_its_change_at_the_next_look(thread: int) -> None:
    observer = ThreadObserver(os.getpid())
    (first,) = [seen for seen in observer.observe() if seen.tid == thread]
    assert (first.role, first.cpus) == (Role(kind=ThreadKind.VCPU, number=3), CPUSet.of(os.sched_getaffinity(thread)))
    one = CPUSet.of((min(os.sched_getaffinity(thread)),))
    set_affinity(thread, one)
    (second,) = [seen for seen in observer.observe() if seen.tid == thread]
    assert second.cpus == one


def test_a_look_at_unchanged_threads_returns_the_very_same_tuple() -> None:
    cpu = min(os.sched_getaffinity(0))
    # Not this process, whose threads other tests have left to end as they may.
    with qemu_like(f"qemu-system-x86={cpu}", f"CPU 0/TCG={cpu}") as pid:
        observer = ThreadObserver(pid)
        observer.observe()
        second = observer.observe()
        assert len(second) == 2
        assert all(observer.observe() is second for _look in range(3))


def test_a_thread_in_the_place_of_another_is_seen_at_the_next_look() -> None:
    observer = ThreadObserver(os.getpid())
    with _waiting_thread() as first:
        before = {seen.tid for seen in observer.observe()}
    with _waiting_thread() as second:
        after = {seen.tid for seen in observer.observe()}
    assert (first in before, first in after) == (True, False)
    assert second in after - before


def test_a_thread_more_or_less_is_seen_at_the_next_look() -> None:
    observer = ThreadObserver(os.getpid())
    before = {seen.tid for seen in observer.observe()}
    with _waiting_thread() as more:
        during = {seen.tid for seen in observer.observe()}
    after = {seen.tid for seen in observer.observe()}
    assert [more in tids for tids in (before, during, after)] == [False, True, False]


def test_a_glance_sees_every_change_that_a_look_would_find(thread: int) -> None:
    cpus = os.sched_getaffinity(thread)
    one = CPUSet.of((min(cpus),))
    with closing(ThreadObserver(os.getpid())) as observer:

        def settled() -> bool:
            observer.observe()
            # What is new has its name read twice.
            observer.observe()
            return not observer.has_changed()

        assert observer.has_changed()
        seen = [settled()]
        set_affinity(thread, one)
        seen += [observer.has_changed(), settled()]
        with _waiting_thread() as first:
            seen += [observer.has_changed(), settled()]
        # One that is there in the place of another makes the number the same.
        with _waiting_thread() as second:
            seen += [observer.has_changed(), settled()]
        seen += [observer.has_changed(), settled()]
        set_affinity(thread, CPUSet.of(cpus))
        seen += [observer.has_changed(), settled()]
    is_movable = len(cpus) > 1
    assert seen == [True, is_movable, True, True, True, True, True, True, True, is_movable, True]
    assert first != second


def test_a_new_thread_is_looked_at_once_more_for_its_name() -> None:
    with closing(ThreadObserver(os.getpid())) as observer:
        observer.observe()
        observer.observe()
        with _waiting_thread():
            observer.observe()
            first = observer.has_changed()
            observer.observe()
            assert (first, observer.has_changed()) == (True, False)


def test_a_process_that_has_ended_is_to_be_looked_at() -> None:
    with qemu_like("qemu-system-x86=0", "CPU 0/TCG=0") as pid, closing(ThreadObserver(pid)) as observer:
        observer.observe()
        observer.observe()
        assert not observer.has_changed()
        os.kill(pid, signal.SIGKILL)
        # Its first thread may be a zombie while others are still there.
        wait_until(observer.has_changed, "one of its threads is gone")
    assert ThreadObserver(pid).has_changed()


def test_a_thread_renamed_soon_after_its_start_is_recognised(thread: int) -> None:
    observer = ThreadObserver(os.getpid())
    observer.observe()
    Path(f"/proc/self/task/{thread}/comm").write_text("IO iothread1")
    (seen,) = [seen for seen in observer.observe() if seen.tid == thread]
    assert seen.role == Role(kind=ThreadKind.IOTHREAD, number=1)


def test_a_process_that_is_gone_has_no_threads() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert ThreadObserver(child.pid).observe() == ()


def test_a_thread_that_is_gone_needs_no_affinity() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    set_affinity(child.pid, CPUSet.of((0,)))
