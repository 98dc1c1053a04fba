"""A plan that cannot be proved, threads that come and go while they are looked at, and manifests that change."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from launcher.supervise.threads import ThreadObserver
from tests.faults.conftest import Launch, clean_root, launchers
from tests.faults.ends import destroy, last, lines_of
from tests.faults.places import qemu_below, wait_until
from tests.processes import is_running
from tests.qemu.guests import environment_of_a_checkout, small_manifest

# A QEMU that keeps to itself which thread is which.
UNNAMED = """#!/bin/sh
count=$#
while [ "$count" -gt 0 ]; do
    word=$1
    shift
    case $word in *debug-threads=on) word=${word%on}off ;; esac
    set -- "$@" "$word"
    count=$((count - 1))
done
exec qemu-system-x86_64 "$@"
"""


def test_a_vcpu_that_cannot_be_proved_is_named_and_the_guest_never_runs(
    launch: Launch, root: Path, tmp_path: Path
) -> None:
    unnamed, template = root / "qemu-unnamed", tmp_path / "template.xml"
    unnamed.write_text(UNNAMED)
    unnamed.chmod(0o700)
    template.write_text(f"<domain><devices><emulator>{unnamed}</emulator></devices></domain>")
    launcher = launch(small_manifest(cores=1), "--template", str(template))
    assert launcher.wait() == 10, launcher.output
    launcher.wait_for(r"ended: not pinned as planned: .*vcpu 0: QEMU has no such thread.*\(exit status 10\)")
    assert not lines_of(launcher, "asked: resume")


# Waits for the QEMU whose pid file this is to have a vCPU, and gives that all of the CPUs, again and again; ahead of
# all others, so that it misses no turn on a busy machine.
HAMMER = """
import os, pathlib, sys, time
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
pid_file, cpus = pathlib.Path(sys.argv[1]), {int(cpu) for cpu in sys.argv[2:]}
print("ready", flush=True)
while not pid_file.exists() or not pid_file.read_text():
    time.sleep(0.001)
def is_vcpu(task):
    try:
        return (task / "comm").read_text().startswith("CPU ")
    except OSError:
        # QEMU's threads come and go while it starts.
        return False
while True:
    for task in filter(is_vcpu, pathlib.Path(f"/proc/{int(pid_file.read_text())}/task").iterdir()):
        while True:
            os.sched_setaffinity(int(task.name), cpus)
            time.sleep(0.001)
    time.sleep(0.001)
"""


def test_a_vcpu_that_somebody_moves_again_and_again_is_named_and_the_guest_never_runs(
    launch: Launch, root: Path, two_cpus: tuple[int, int]
) -> None:
    words = [sys.executable, "-c", HAMMER, str(root / "run/qemu/tests_demo.pid"), *map(str, two_cpus)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as hammer:
        try:
            assert hammer.stdout is not None
            hammer.stdout.readline()
            launcher = launch(small_manifest(cores=1, isolate=True))
            assert launcher.wait() == 10, launcher.output
        finally:
            hammer.kill()
    launcher.wait_for(r"ended: not pinned as planned: vcpu 0 \(thread \d+, 'CPU 0/TCG'\): planned .*\(exit status 10\)")
    launcher.wait_for("repaired: vcpu 0 to CPU ")
    assert not lines_of(launcher, "asked: resume")
    assert not lines_of(launcher, "phase: proved")


CHURN = """
import sys, threading
while True:
    threads = [threading.Thread(target=int) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_threads_that_are_gone_between_two_reads_are_left_out() -> None:
    with subprocess.Popen([sys.executable, "-c", CHURN]) as child:
        observer = ThreadObserver(child.pid)
        seen: set[int] = set()

        def many_have_come_and_gone() -> bool:
            for _look in range(100):
                threads = {thread.tid for thread in observer.observe()}
                assert child.pid in threads
                seen.update(threads)
            return len(seen) > 100

        try:
            wait_until(many_have_come_and_gone, "many threads have come and gone")
        finally:
            child.kill()
    assert observer.observe() == ()


def test_a_manifest_that_changed_does_not_change_the_running_guest(launch: Launch, two_cpus: tuple[int, int]) -> None:
    killed = launch(small_manifest(cores=2))
    killed.kill_once_running()
    pid = killed.qemu_pid()
    adopter = launch(small_manifest(cores=1))
    adopter.wait_for("adopted: it has 2 vCPUs; the manifest's change counts from its next start")
    adopter.wait_for("verified: ")
    assert adopter.qemu_pid() == pid
    assert destroy(adopter) == 9
    assert not lines_of(adopter, "drifted|differs")
    anew = launch(small_manifest(cores=1))
    anew.wait_for("planned: 1 vCPU on")
    anew.wait_for("phase: running")
    assert destroy(anew) == 9


def test_another_manifest_over_a_root_whose_guest_still_runs_is_refused_and_the_guest_is_left_alone(
    launch: Launch,
) -> None:
    killed = launch(small_manifest(cores=1))
    killed.kill_once_running()
    pid = killed.qemu_pid()
    vmi = small_manifest(cores=1)
    vmi["metadata"]["name"] = "other"
    other = launch(vmi)
    assert other.wait() == 7, other.output
    assert last(other) == (
        f"virt-launcher: {other.root}: domain tests_demo, of an earlier launcher, runs over this root; "
        "run its own manifest to take it over, or give this guest its own --root"
    )
    assert qemu_below(other.root) == pid
    adopter = launch(small_manifest(cores=1))
    adopter.wait_for("adopted: tests_demo, running")
    assert destroy(adopter) == 9


def test_a_guest_that_ended_unwatched_is_no_hindrance_to_another_manifest(launch: Launch, root: Path) -> None:
    killed = launch(small_manifest(cores=1))
    killed.wait_for("phase: running")
    pid = killed.qemu_pid()
    killed.signal(signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    killed.wait()
    wait_until(lambda: not is_running(pid), "QEMU has ended")
    vmi = small_manifest(cores=1)
    vmi["metadata"]["name"] = "other"
    other = launch(vmi)
    other.wait_for("phase: running")
    assert destroy(other) == 9


def test_two_guests_of_one_uuid_over_two_roots_are_told_apart(
    launch: Launch, capabilities: Path, tmp_path: Path
) -> None:
    vmi = small_manifest(cores=1)
    vmi["spec"]["domain"]["firmware"]["uuid"] = "5d307ca9-b3ef-428c-8861-06e72d69f223"
    first = launch(vmi)
    first.wait_for("phase: running")
    with clean_root(capabilities) as root, launchers(root, tmp_path) as launch_there:
        second = launch_there(vmi)
        second.wait_for("phase: running")
        for launcher in (first, second):
            qemu = qemu_below(launcher.root)
            verify = subprocess.run(
                [sys.executable, "-m", "launcher", "verify", "--root", str(launcher.root)],
                capture_output=True,
                text=True,
                check=False,
                env=environment_of_a_checkout(),
            )
            assert f"QEMU's pid {qemu}: " in verify.stdout, verify.stderr
            launcher.wait_for(rf"{qemu} +qemu-system-x86 +emulator ")
        assert destroy(second) == 9
    assert destroy(first) == 9


def test_a_manifest_that_is_replaced_by_nonsense_does_not_reach_the_running_guest(
    launch: Launch, tmp_path: Path
) -> None:
    launcher = launch(small_manifest(cores=1))
    launcher.wait_for("phase: running")
    (tmp_path / "vmi.yaml").write_text("{nonsense")
    assert destroy(launcher) == 9
    assert "Traceback" not in launcher.output


def test_what_a_crashed_predecessor_left_is_no_hindrance(launch: Launch, root: Path) -> None:
    crashed = launch(small_manifest(cores=1))
    crashed.wait_for("phase: running")
    pid = crashed.qemu_pid()
    crashed.signal(signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    crashed.wait()
    wait_until(lambda: not is_running(pid), "QEMU has ended")
    # The pid is somebody else's by now.
    (root / "run/qemu/tests_demo.pid").write_text(str(os.getpid()))
    (root / "run/qemu/rubbish.xml").write_text("<domstatus")
    assert list(root.rglob("monitor.sock")), "the predecessor's sockets are there"
    successor = launch(small_manifest(cores=1))
    successor.wait_for("planned: ")
    successor.wait_for("phase: running")
    assert successor.qemu_pid() == qemu_below(root)
    assert destroy(successor) == 9
    (root / "run/qemu/rubbish.xml").unlink(missing_ok=True)
