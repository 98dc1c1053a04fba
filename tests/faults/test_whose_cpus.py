"""A container that is told whose its CPUs are: the kernel has every thread of QEMU where it belongs."""

from __future__ import annotations

from tests.faults.conftest import Launch
from tests.faults.ends import destroy, lines_of
from tests.faults.places import wait_until
from tests.processes import allowed_by_name
from tests.qemu.guests import small_manifest


def told(isolated: int, shared: int) -> dict[str, str]:
    return {"OPENSHIFT_ISOLATED_CPUS": str(isolated), "OPENSHIFT_SHARED_CPUS": str(shared)}


def test_the_vcpu_is_alone_on_the_isolated_cpu_and_everything_else_is_on_the_shared_one(
    launch: Launch, two_cpus: tuple[int, int]
) -> None:
    # The other way round than it would be without a word.
    shared, isolated = two_cpus
    environment = told(isolated, shared)
    killed = launch(small_manifest(cores=1, isolate=True), environment=environment)
    killed.wait_for("phase: running")
    threads = allowed_by_name(killed.qemu_pid())
    assert threads.pop("CPU 0/TCG") == str(isolated), threads
    assert set(threads.values()) == {str(shared)}
    killed.kill_once_running()
    adopter = launch(small_manifest(cores=1, isolate=True), environment=environment)
    wait_until(lambda: bool(lines_of(adopter, "verified: ")), "it is proved again")
    threads = allowed_by_name(adopter.qemu_pid())
    assert (threads.pop("CPU 0/TCG"), set(threads.values())) == (str(isolated), {str(shared)})
    assert destroy(adopter) in (0, 9)


def test_a_contradiction_is_waited_for_and_then_ends_the_start(launch: Launch, two_cpus: tuple[int, int]) -> None:
    launcher = launch(
        small_manifest(cores=1), "--settle-timeout", "1", environment=told(*two_cpus) | {"DRA_CPUSET_a": "4095"}
    )
    assert launcher.wait() == 4, launcher.output
    assert "DRA_CPUSET_a (4095) names CPUs 4095, which /sys/fs/cgroup" in launcher.lines[-1]


def test_a_guest_with_more_vcpus_than_cpus_of_its_own_is_refused(launch: Launch, two_cpus: tuple[int, int]) -> None:
    launcher = launch(small_manifest(cores=2), environment=told(*two_cpus))
    assert launcher.wait() == 5, launcher.output
    assert "the guest needs 2 CPUs of its own (2 vCPUs), found 1" in launcher.lines[-1]
