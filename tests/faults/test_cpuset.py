"""The cpuset changed under the launcher: before the plan, under the running guest, and for good."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.faults.conftest import Launch
from tests.faults.ends import destroy, lines_of
from tests.faults.places import Cpuset, quota_group, wait_until
from tests.processes import affinities_of, threads_by_name
from tests.qemu.guests import Launcher, small_manifest

# A QEMU that begins only when it may.
HELD = """#!/bin/sh
case "$*" in *guest=tests_demo*)
    : >"$0.waits"
    while [ ! -e "$0.goes" ]; do sleep 0.05; done
esac
exec qemu-system-x86_64 "$@"
"""


def affinity_of(launcher: Launcher, thread: str) -> set[int]:
    return os.sched_getaffinity(threads_by_name(launcher.qemu_pid())[thread])


def test_a_narrowed_cpuset_degrades_the_guest_and_a_widened_one_cures_it(
    cpuset: Cpuset, launch: Launch, two_cpus: tuple[int, int]
) -> None:
    first, second = two_cpus
    launcher = launch(small_manifest(), prefix=cpuset.prefix)
    launcher.wait_for("phase: running")
    cpuset.allow(first)
    launcher.wait_for(rf"cpuset: {first}, read from .*cpuset.* \(was {first}[-,]{second}\)")
    launcher.wait_for(rf"replanned: .*vcpu 1 to CPU {first}.*; degraded: vCPUs share CPUs")
    wait_until(lambda: affinity_of(launcher, "CPU 1/TCG") == {first}, "vCPU 1 is where it was replanned to")
    cpuset.allow(first, second)
    launcher.wait_for(rf"replanned: .*vcpu 1 to CPU {second}$")
    wait_until(lambda: affinity_of(launcher, "CPU 1/TCG") == {second}, "vCPU 1 has its CPU again")
    assert affinity_of(launcher, "CPU 0/TCG") == {first}
    assert destroy(launcher) == 9


def test_a_guest_whose_only_cpu_is_exchanged_for_another_follows_it(
    cpuset: Cpuset, launch: Launch, two_cpus: tuple[int, int]
) -> None:
    first, second = two_cpus
    cpuset.allow(first)
    launcher = launch(small_manifest(cores=1), prefix=cpuset.prefix)
    launcher.wait_for("phase: running")
    cpuset.allow(second)
    launcher.wait_for(rf"replanned: .*vcpu 0 to CPU {second}$")
    wait_until(lambda: affinity_of(launcher, "CPU 0/TCG") == {second}, "vCPU 0 has the new CPU")
    own = set(affinities_of(launcher.process.pid).values())
    assert own == {(second,)}
    assert destroy(launcher) == 9
    assert not lines_of(launcher, "not repaired")


def test_a_widened_cpuset_moves_nothing(cpuset: Cpuset, launch: Launch, two_cpus: tuple[int, int]) -> None:
    first, second = two_cpus
    cpuset.allow(first)
    launcher = launch(small_manifest(cores=1), prefix=cpuset.prefix)
    launcher.wait_for("phase: running")
    cpuset.allow(first, second)
    launcher.wait_for("replanned: nothing moves")
    # A kernel before 6.2 has let the thread go anywhere meanwhile.
    wait_until(lambda: affinity_of(launcher, "CPU 0/TCG") == {first}, "vCPU 0 is where it was")
    assert destroy(launcher) == 9


def test_what_shows_that_the_cpus_are_exclusive_is_weighed_again_when_the_cpuset_changes(
    cpuset: Cpuset, launch: Launch, two_cpus: tuple[int, int]
) -> None:
    cpuset.allow(two_cpus[0])
    launcher = launch(small_manifest(cores=1), prefix=cpuset.prefix)
    launcher.wait_for("exclusive: likely; the cpuset holds exactly the 1 CPUs that the guest needs")
    launcher.wait_for("phase: running")
    cpuset.allow(*two_cpus)
    launcher.wait_for("exclusive: not shown; the cpuset holds 2 of the machine's .* CPUs, the guest needs 1")
    assert destroy(launcher) == 9


def test_a_cpuset_rewritten_identically_changes_nothing(
    cpuset: Cpuset, launch: Launch, two_cpus: tuple[int, int]
) -> None:
    launcher = launch(small_manifest(), prefix=cpuset.prefix)
    launcher.wait_for("phase: running")
    for _time in range(3):
        cpuset.allow(*two_cpus)
    wait_until(lambda: affinity_of(launcher, "CPU 0/TCG") == {two_cpus[0]}, "vCPU 0 has its CPU")
    wait_until(lambda: affinity_of(launcher, "CPU 1/TCG") == {two_cpus[1]}, "vCPU 1 has its CPU")
    assert destroy(launcher) == 9
    assert not lines_of(launcher, "replanned:|degraded")


def test_the_new_plan_is_what_the_next_launcher_adopts(
    cpuset: Cpuset, launch: Launch, two_cpus: tuple[int, int]
) -> None:
    first, second = two_cpus
    cpuset.allow(first)
    killed = launch(small_manifest(cores=1), prefix=cpuset.prefix)
    killed.wait_for("phase: running")
    cpuset.allow(second)
    killed.wait_for(f"recorded: the plan over CPU {second}")
    pid = killed.qemu_pid()
    killed.signal(signal.SIGKILL)
    killed.wait()
    adopter = launch(small_manifest(cores=1), prefix=cpuset.prefix)
    adopter.wait_for("adopted: tests_demo, running")
    adopter.wait_for("verified:")
    assert (adopter.qemu_pid(), affinity_of(adopter, "CPU 0/TCG")) == (pid, {second})
    assert destroy(adopter) == 9
    assert not lines_of(adopter, "differs|drifted|replanned")


def test_a_cpuset_that_was_narrowed_while_nobody_watched_is_answered_by_the_adopter(
    cpuset: Cpuset, launch: Launch, two_cpus: tuple[int, int]
) -> None:
    killed = launch(small_manifest(), prefix=cpuset.prefix)
    killed.kill_once_running()
    cpuset.allow(two_cpus[0])
    adopter = launch(small_manifest(), prefix=cpuset.prefix)
    adopter.wait_for("replanned: .*; degraded: vCPUs share CPUs")
    adopter.wait_for("verified: ")
    assert affinity_of(adopter, "CPU 1/TCG") == {two_cpus[0]}
    assert destroy(adopter) == 9


def test_a_cpuset_that_changes_without_pause_harms_nobody(
    cpuset: Cpuset, launch: Launch, two_cpus: tuple[int, int]
) -> None:
    first, second = two_cpus
    launcher = launch(small_manifest(), prefix=cpuset.prefix)
    launcher.wait_for("phase: running")
    ends_s = time.monotonic() + 3
    while time.monotonic() < ends_s:
        for cpus in ((first,), (second,), (first, second)):
            cpuset.allow(*cpus)
            time.sleep(0.001)
    wait_until(lambda: affinity_of(launcher, "CPU 0/TCG") != affinity_of(launcher, "CPU 1/TCG"), "each has a CPU again")
    assert destroy(launcher) == 9
    assert "Traceback" not in launcher.output


def test_a_cpuset_that_is_right_only_later_is_waited_for(
    cpuset: Cpuset, launch: Launch, two_cpus: tuple[int, int]
) -> None:
    cpuset.allow(two_cpus[0])
    launcher = launch(small_manifest(), "--settle-timeout", "60", prefix=cpuset.prefix)
    launcher.wait_for(rf"cpuset: {two_cpus[0]}, read from ")
    cpuset.allow(*two_cpus)
    launcher.wait_for("verified:")
    assert destroy(launcher) == 9
    assert len(lines_of(launcher, "cpuset: ")) == 2, "both are told of"


def test_a_cpuset_that_is_never_right_is_refused_with_what_was_seen(
    cpuset: Cpuset, launch: Launch, two_cpus: tuple[int, int]
) -> None:
    cpuset.allow(two_cpus[0])
    launcher = launch(small_manifest(), "--settle-timeout", "1", prefix=cpuset.prefix)
    assert launcher.wait() == 5, launcher.output
    launcher.wait_for(rf"virt-launcher: .*needs 2.*{cpuset.folder.name}")


def test_a_signal_during_the_wait_for_the_cpuset_ends_it(
    cpuset: Cpuset, launch: Launch, two_cpus: tuple[int, int]
) -> None:
    cpuset.allow(two_cpus[0])
    launcher = launch(small_manifest(), "--settle-timeout", "600", prefix=cpuset.prefix)
    launcher.wait_for("cpuset: ")
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 9, launcher.output
    assert not lines_of(launcher, "defined:")


def test_a_cpuset_that_loses_a_planned_cpu_during_the_start_is_the_end_of_the_start(
    cpuset: Cpuset, launch: Launch, root: Path, tmp_path: Path, two_cpus: tuple[int, int]
) -> None:
    emulator, template = root / "qemu-held", tmp_path / "template.xml"
    emulator.write_text(HELD)
    emulator.chmod(0o700)
    template.write_text(f"<domain><devices><emulator>{emulator}</emulator></devices></domain>")
    launcher = launch(small_manifest(), "--template", str(template), prefix=cpuset.prefix)
    wait_until((root / "qemu-held.waits").exists, "QEMU is about to begin")
    cpuset.allow(two_cpus[0])
    (root / "qemu-held.goes").touch()
    assert launcher.wait() == 7, launcher.output
    launcher.wait_for("virt-launcher: start: cannot set CPU affinity")
    assert not lines_of(launcher, "asked: resume")


def test_a_quota_below_the_cpus_is_told_with_its_file(launch: Launch) -> None:
    with quota_group(1.5) as group:
        launcher = launch(small_manifest(), prefix=group.prefix)
        launcher.wait_for(rf"planned: .*{group.folder.name}/cpu.(cfs_quota_us|max): time for 1.5 CPUs, the guest has 2")
        assert destroy(launcher) == 9


def test_shared_cpus_are_refused_where_exclusive_ones_are_required(launch: Launch) -> None:
    launcher = launch(small_manifest(cores=1), "--exclusive-cpus", "require")
    assert launcher.wait() == 4, launcher.output
    launcher.wait_for("virt-launcher: --exclusive-cpus require: nothing shows that the CPUs are ours alone")
    assert not lines_of(launcher, "defined:"), "QEMU is not even started"


def test_an_adopted_guest_outlives_the_proof_that_its_cpus_are_exclusive(
    cpuset: Cpuset, launch: Launch, two_cpus: tuple[int, int]
) -> None:
    cpuset.allow(two_cpus[0])
    arguments = ("--exclusive-cpus", "require")
    killed = launch(small_manifest(cores=1), *arguments, prefix=cpuset.prefix)
    killed.kill_once_running()
    cpuset.allow(*two_cpus)
    adopter = launch(small_manifest(cores=1), *arguments, prefix=cpuset.prefix)
    adopter.wait_for("replanned: nothing moves")
    assert destroy(adopter) == 9
