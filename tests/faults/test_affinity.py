"""Affinities changed from outside: on every kind of thread, against every policy, and by one that does not give up."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.boot_sector import Sector, make_disk
from tests.faults.conftest import Launch, clean_root, launchers
from tests.faults.ends import destroy, last, lines_of
from tests.faults.places import wait_until
from tests.processes import affinities_of, threads_by_name
from tests.qemu.guests import Launcher, environment_of_a_checkout, small_manifest


@pytest.fixture(scope="module")
def watched(
    two_cpus: tuple[int, int], capabilities: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Launcher]:
    """One guest with a vCPU, an IOThread and an isolated emulator, under the policy `repair`, for several faults."""
    folder = tmp_path_factory.mktemp("watched")
    disk = folder / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    with clean_root(capabilities) as root, launchers(root, folder) as launch:
        launcher = launch(small_manifest(cores=1, isolate=True, disks=(disk,)))
        launcher.wait_for("phase: running")
        yield launcher
        # By now it may have booted far enough to see the power button.
        assert destroy(launcher) in (0, 9)


def taskset(tid: int, cpu: int) -> None:
    """Move one thread with the program that people use for it."""
    subprocess.run(["taskset", "--cpu-list", "--pid", str(cpu), str(tid)], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("thread", "role"),
    [
        ("CPU 0/TCG", "vcpu 0"),
        ("IO iothread1", "iothread 1"),
        ("main", "emulator"),
        ("IO mon_iothread", "worker"),
    ],
    ids=["vcpu", "iothread", "emulator", "worker"],
)
def test_a_thread_that_was_moved_is_put_back(
    watched: Launcher, two_cpus: tuple[int, int], thread: str, role: str
) -> None:
    tid = threads_by_name(watched.qemu_pid())[thread]
    (planned,) = os.sched_getaffinity(tid)
    (other,) = set(two_cpus) - {planned}
    taskset(tid, other)
    watched.wait_for(rf"drifted: {role} \(thread {tid}, .*\): planned CPU {planned}, actual CPU {other}")
    watched.wait_for(rf"repaired: {role} to CPU {planned}")
    wait_until(lambda: os.sched_getaffinity(tid) == {planned}, f"{thread} is back on CPU {planned}")


def test_every_thread_moved_at_once_is_put_back(watched: Launcher, two_cpus: tuple[int, int]) -> None:
    pid = watched.qemu_pid()
    planned = affinities_of(pid)
    subprocess.run(
        ["taskset", "--all-tasks", "--cpu-list", "--pid", ",".join(map(str, two_cpus)), str(pid)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    # A worker of QEMU may end meanwhile, another begin.
    wait_until(lambda: all(planned.get(tid, cpus) == cpus for tid, cpus in affinities_of(pid).items()), "all are back")


def test_a_thread_that_is_moved_again_and_again_is_told_of_and_left_alone(
    watched: Launcher, two_cpus: tuple[int, int]
) -> None:
    tid = threads_by_name(watched.qemu_pid())["IO mon_iothread"]
    (planned,) = os.sched_getaffinity(tid)
    (other,) = set(two_cpus) - {planned}

    def moved_back_or_given_up() -> bool:
        return os.sched_getaffinity(tid) == {planned} or bool(lines_of(watched, "flapping: worker"))

    for _quarrel in range(40):
        os.sched_setaffinity(tid, {other})
        wait_until(moved_back_or_given_up, "the launcher has answered")
        if lines_of(watched, "flapping: worker"):
            break
    watched.wait_for("flapping: worker was repaired too often within a minute and is left alone")
    assert os.sched_getaffinity(tid) == {other}
    drifted = len(lines_of(watched, "drifted:"))
    os.sched_setaffinity(threads_by_name(watched.qemu_pid())["CPU 0/TCG"], set(two_cpus))
    wait_until(lambda: len(lines_of(watched, "drifted:")) > drifted, "the other threads are still watched")
    assert len(lines_of(watched, "flapping:")) == 1, "it is told once"


@pytest.fixture
def moved(launch: Launch, two_cpus: tuple[int, int]) -> Callable[[str], tuple[Launcher, int]]:
    """Start a guest under a policy and move its second vCPU onto the first one's CPU; return the thread's id."""

    def start(policy: str) -> tuple[Launcher, int]:
        launcher = launch(small_manifest(sector=Sector(is_deaf=True)), "--drift", policy)
        launcher.wait_for("phase: running")
        tid = threads_by_name(launcher.qemu_pid())["CPU 1/TCG"]
        taskset(tid, two_cpus[0])
        return launcher, tid

    return start


def test_the_policy_report_tells_and_does_nothing(
    moved: Callable[[str], tuple[Launcher, int]], two_cpus: tuple[int, int]
) -> None:
    launcher, tid = moved("report")
    launcher.wait_for(r"drifted: vcpu 1 ")
    assert destroy(launcher) == 9
    assert not lines_of(launcher, "repaired: vcpu 1")
    assert tid


def test_the_policy_fail_ends_the_guest_and_names_the_thread(moved: Callable[[str], tuple[Launcher, int]]) -> None:
    launcher, tid = moved("fail")
    assert launcher.wait() == 10, launcher.output
    assert re.search(rf"ended: drifted: vcpu 1 \(thread {tid}, 'CPU 1/TCG'\).*exit status 10", last(launcher))


def test_the_policy_off_looks_at_nothing_after_the_proof(
    moved: Callable[[str], tuple[Launcher, int]], two_cpus: tuple[int, int]
) -> None:
    launcher, tid = moved("off")
    command = [sys.executable, "-m", "launcher", "status", "--root", str(launcher.root)]
    status = subprocess.run(command, capture_output=True, text=True, check=True, env=environment_of_a_checkout()).stdout
    launcher.signal(signal.SIGTERM)
    launcher.wait_for("asked: ask to shut down")
    assert os.sched_getaffinity(tid) == {two_cpus[0]}
    assert re.search(r"PinningVerified Unknown NotWatched: as planned at .*--drift off", " ".join(status.split()))
    assert destroy(launcher) == 9
    assert lines_of(launcher, "verified:")
    assert not lines_of(launcher, "drifted:")


def test_a_launcher_without_a_descriptor_to_look_with_loses_no_guest(launch: Launch, two_cpus: tuple[int, int]) -> None:
    launcher = launch(small_manifest(cores=1, sector=Sector(is_deaf=True)))
    launcher.wait_for("phase: running")
    before = resource.prlimit(launcher.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(launcher.process.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    launcher.wait_for("not watched: .*Too many open files")
    resource.prlimit(launcher.process.pid, resource.RLIMIT_NOFILE, before)
    launcher.wait_for("watched again")
    os.sched_setaffinity(launcher.qemu_pid(), {two_cpus[0]})
    launcher.wait_for("repaired: emulator to CPU ")
    assert destroy(launcher) == 9


@pytest.mark.parametrize("policy", ["fail", "report"])
def test_a_thread_that_qemu_starts_by_itself_is_placed_and_is_nobodys_drift(
    launch: Launch, tmp_path: Path, policy: str
) -> None:
    disk = tmp_path / "disk.img"
    make_disk(disk, "raw")
    vmi = small_manifest(cores=1, disks=(disk,))
    domain = vmi["spec"]["domain"]
    # It has the guest of its disk.
    del domain["firmware"]
    domain |= {"ioThreadsPolicy": "supplementalPool", "ioThreads": {"supplementalPoolThreadCount": 1}}
    domain["devices"]["disks"][0]["io"] = "threads"
    launcher = launch(vmi, "--drift", policy)
    # The firmware reads the disk, and QEMU's IOThread makes itself a helper, on its own CPU.
    launcher.wait_for("repaired: worker to CPU ")
    assert destroy(launcher) in (0, 9)
    assert not lines_of(launcher, "drifted:")
