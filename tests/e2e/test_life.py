"""The life of a pinned guest on a node with cgroup v2: what befalls it, and what the kernel shows of it then.

One guest lives through all of it: three vCPUs, an isolated emulator with an IOThread, one CPU to spare. Each test takes
it as it is and gives the container its first cpuset back, so that any of them can be run alone.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from launcher.cpuset import CPUSet
from tests.e2e.boot_sector import AT_REST, BUSY, POWERED_OFF, READY, make_disk
from tests.e2e.containers import IMAGES, PATIENCE_S, RESERVED, Container, Group, Kubelet, run_container, wait_until
from tests.e2e.guests import KVM
from tests.e2e.kernel import CPUS, Thread, cpus_in, online_cpus, threads_of
from tests.e2e.lives import INIT, Life, Times, console_of, press, times_of, vcpus_of
from tests.qemu.guests import manifest

Tell = Callable[[str, object], None]

VCPUS = 3
STATE_FILE = Path("/var/lib/kubelet/cpu_manager_state")
NOWHERE = "/nowhere"
# As a container has them: the launcher's root, and its own control group at the top.
ROOT = "/run/virt-launcher"
EFFECTIVE = "sys/fs/cgroup/cpuset.cpus.effective"
EXCLUSIVE = ("--exclusive-cpus", "require")
# Long enough for many turns of every run queue, short enough for a machine that has other things to do.
WINDOW_S = 4.0
# A process that joins a control group and then does nothing, as fast as it can.
BURN = 'echo 0 >"$0/cgroup.procs"; while :; do :; done'
# Of the time in which a thread wants to run. An emulated node's own ticks and kernel threads take a hundredth of it;
# beside two busy threads on the same CPU it becomes a third to two thirds.
WAITS_LITTLE = 0.1


@pytest.fixture(scope="module")
def kubelet(node: Path) -> Iterator[Kubelet]:
    """A kubelet without any Pod; the node is ready for containers."""
    kubelet = Kubelet()
    yield kubelet
    kubelet.close()


@pytest.fixture(scope="module")
def whole_life(node: Path, shape: str, kubelet: Kubelet) -> Iterator[Life]:
    """The guest, under a launcher that was told to refuse shared CPUs and sees the kubelet's state file."""
    disk = IMAGES / "life.img"
    make_disk(disk, "raw")
    has_kvm = shape == KVM
    container = run_container(kubelet, guest_of(disk), node, kvm=has_kvm, command=INIT, more_cpus=1)
    life = Life(container, has_kvm=has_kvm)
    write_state(kubelet, life.group)
    life.start(*EXCLUSIVE)
    life.launcher.wait_for("phase: running")
    wait_until(lambda: READY in console_of(container), "the guest has booted")
    yield life
    container.close()


@pytest.fixture
def life(whole_life: Life) -> Iterator[Life]:
    """The guest, every thread of it where a plan says, and afterwards its container's first cpuset again."""
    whole_life.settle()
    yield whole_life
    if whole_life.launcher.process.poll() is None:
        whole_life.restore()


@pytest.fixture
def floating(node: Path, kubelet: Kubelet, life: Life) -> Iterator[Container]:
    """Another guest, without CPUs of its own, in the shared pool."""
    disk = IMAGES / "floating.img"
    make_disk(disk, "raw")
    vmi = guest_of(disk, dedicated=False)
    container = run_container(kubelet, vmi, node, "--log-format", "text", kvm=life.has_kvm)
    container.wait_for("phase: running")
    wait_until(lambda: READY in console_of(container), "the guest has booted")
    yield container
    container.close()


@pytest.fixture
def neighbour(kubelet: Kubelet, life: Life) -> Iterator[Group]:
    """A container that burns every CPU of the shared pool, twice over, once it is no longer frozen."""
    group = kubelet.start_neighbour(0)
    (group.folder / "cgroup.freeze").write_text("1")
    assert group.cpus | life.group.cpus == online_cpus()
    first = set(group.pids)
    burners = [subprocess.Popen(["sh", "-c", BURN, str(group.folder)]) for _cpu in (*group.cpus, *group.cpus)]
    wait_until(lambda: {burner.pid for burner in burners} | first == set(group.pids), "all that burn are there")
    yield group
    kubelet.release(group)
    for burner in burners:
        burner.wait()


@pytest.fixture
def tell(record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]) -> Tell:
    """Write a figure to the report and to the screen."""

    def write(name: str, value: object) -> None:
        record_property(name, value)
        with capsys.disabled():
            sys.stdout.write(f"\n    {name}: {value}")
            sys.stdout.flush()

    return write


def guest_of(disk: Path, *, dedicated: bool = True) -> dict[str, Any]:
    """Return a guest of three vCPUs that boots from this disk, served by an IOThread."""
    vmi = manifest(cores=VCPUS, isolate=dedicated, dedicated=dedicated, disks=(disk,))
    del vmi["spec"]["domain"]["firmware"]
    return vmi


def write_state(kubelet: Kubelet, group: Group) -> None:
    """Write the kubelet's state file, version 3, with this container's CPUs as its own."""
    shared = sorted(online_cpus() - group.cpus)
    STATE_FILE.parent.mkdir(parents=True, exist_ok=True)
    STATE_FILE.write_text(
        json.dumps(
            {
                "policyName": "static",
                "defaultCpuSet": str(CPUSet.of(shared)),
                "entries": {"pod-uid": {"compute": str(CPUSet.of(group.cpus))}},
                "checksum": 1,
            }
        )
    )


def rewrite(life: Life, cpus: CPUSet, vcpus_on_a_cpu: int = 1) -> float:
    """Write the container's cpuset; return after how many seconds every thread was where a plan says."""
    began_s = time.monotonic()
    life.group.write(cpus)
    wait_until(lambda: not life.faults(vcpus_on_a_cpu), f"every thread is where a plan over CPU {cpus} says")
    return round(time.monotonic() - began_s, 2)


def spare_cpu(life: Life) -> int:
    """Return the CPU of the container on which no thread may run."""
    used = {cpu for thread in (*life.vcpus().values(), *life.others()) for cpu in thread.allowed}
    (spare,) = life.group.cpus - used
    return spare


def taskset(thread: Thread, cpu: int) -> None:
    """Move a thread with the program that people use for it."""
    command = ("taskset", "--cpu-list", "--pid", str(cpu), str(thread.tid))
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def quota(group: Group, cpus: float) -> Iterator[None]:
    """Give a container so many CPUs' time in each period, as the kubelet does for a limit."""
    above = (group.folder.parent.parent, group.folder.parent)
    for folder in above:
        (folder / "cgroup.subtree_control").write_text("+cpu")
    (group.folder / "cpu.max").write_text(f"{int(cpus * 100_000)} 100000")
    try:
        yield
    finally:
        for folder in reversed(above):
            (folder / "cgroup.subtree_control").write_text("-cpu")


@contextmanager
def partition(group: Group) -> Iterator[None]:
    """Make the container's cpuset a partition: the groups above it have to be one, too, and each to keep a CPU back."""
    pod, kubepods = group.folder.parent, group.folder.parent.parent
    widest = CPUSet.of(online_cpus()) - RESERVED
    kept_back = CPUSet.of((max(online_cpus() - group.cpus),))
    try:
        for folder, cpus in ((kubepods, widest), (pod, widest - kept_back), (group.folder, CPUSet.of(group.cpus))):
            (folder / "cpuset.cpus").write_text(str(cpus))
            (folder / "cpuset.cpus.partition").write_text("root")
            assert (folder / "cpuset.cpus.partition").read_text() == "root\n"
        yield
    finally:
        for folder in (group.folder, pod, kubepods):
            (folder / "cpuset.cpus.partition").write_text("member")
        # While anything runs below it a cpuset cannot be emptied again; that of all CPUs bounds nobody either.
        for folder in (kubepods, pod):
            (folder / "cpuset.cpus").write_text(str(CPUSet.of(online_cpus())))


def moved(before: dict[int, frozenset[int]], after: dict[int, frozenset[int]]) -> set[int]:
    """Return the vCPUs that have another CPU than before."""
    return {vcpu for vcpu in before if before[vcpu] != after[vcpu]}


def only(cpus: frozenset[int]) -> int:
    (cpu,) = cpus
    return cpu


def test_every_thread_is_placed_and_the_kubelets_state_file_is_evidence(life: Life) -> None:
    assert life.condition("CPUsExclusive") == ("True", "Proven")
    assert life.condition("Ready") == ("True", "RunningAndVerified")
    assert life.metric("pinning_verified") == 1
    assert life.metric("cpus_exclusive", evidence="proven") == 1
    assert {only(cpus) for cpus in life.cpus_of_vcpus().values()} | {spare_cpu(life)} < life.group.cpus
    assert {thread.allowed for thread in life.others()} == {life.thread("emulator").allowed}


def test_the_status_tells_what_the_kernel_shows(life: Life) -> None:
    status = life.status()
    cpuset = {name: status["cpuset"][name] for name in ("cpus", "source", "exclusivity")}
    assert cpuset == {"cpus": str(life.given), "source": f"/{EFFECTIVE}", "exclusivity": "proven"}
    wait_until(lambda: told_by(life.status()) == shown_by_kernel(life), "status and kernel tell the same threads")
    text = life.run("virt-launcher", "status", "--root", ROOT)
    assert text.returncode == 0, text.stderr
    assert f"cpuset    {life.given}, read from /{EFFECTIVE}" in text.stdout
    assert re.search(r"^(\d+) threads: \1 verified$", text.stdout, re.MULTILINE), text.stdout


def told_by(status: dict[str, Any]) -> dict[int, tuple[str, frozenset[int]]]:
    return {thread["tid"]: (thread["name"], cpus_in(thread["actual"])) for thread in status["threads"]}


def shown_by_kernel(life: Life) -> dict[int, tuple[str, frozenset[int]]]:
    return {thread.tid_inside: (thread.name, thread.allowed) for thread in threads_of(life.qemu_pid)}


def test_verify_sees_for_itself_while_the_launcher_stands_still(life: Life) -> None:
    assert life.run("virt-launcher", "verify", "--root", ROOT).returncode == 0
    thread, spare = life.thread("vCPU 1"), spare_cpu(life)
    with life.launcher_at_a_stand():
        taskset(thread, spare)
        verify = life.run("virt-launcher", "verify", "--root", ROOT)
    assert verify.returncode == 10, verify.stderr
    (row,) = (line.split() for line in verify.stdout.splitlines() if line.split()[:1] == [str(thread.tid_inside)])
    planned = str(only(thread.allowed))
    assert row[-4:] == [planned, planned, str(spare), "DRIFTED"]


def test_the_host_is_the_containers_and_its_quota_is_told(life: Life) -> None:
    with quota(life.group, cpus=1.5):
        run = life.run("virt-launcher", "host", "--format", "json")
    assert run.returncode == 0, run.stderr
    host = json.loads(run.stdout)
    assert {name: host[name] for name in ("online", "cpuset", "source", "partition", "quota")} == {
        "online": str(CPUSet.of(online_cpus())),
        "cpuset": str(life.given),
        "source": f"/{EFFECTIVE}",
        "partition": "member",
        "quota": {"cpus": 1.5, "source": "/sys/fs/cgroup/cpu.max"},
    }


def test_without_the_kubelets_word_shared_cpus_are_refused(life: Life) -> None:
    run = life.run(
        *(
            "virt-launcher",
            "run",
            "/etc/virt-launcher/vmi.yaml",
            "--root",
            "/run/virt-launcher/other",
            "--virt-type",
            "qemu",
        ),
        *(*EXCLUSIVE, "--kubelet-state", NOWHERE),
    )
    assert run.returncode == 4, run.stderr
    assert "nothing shows that the CPUs are ours alone: the cpuset holds 5 of the machine's" in run.stderr


def test_a_cpuset_rewritten_identically_moves_nothing(life: Life) -> None:
    before, changes = life.cpus_of_vcpus(), life.metric("cpuset_changes_total")
    (life.group.folder / "cpuset.cpus").write_text(",".join(map(str, life.given)))
    life.group.write(life.given)
    life.wait_for_a_look()
    assert life.cpus_of_vcpus() == before
    assert life.metric("cpuset_changes_total") == changes


def test_a_cpuset_that_loses_its_spare_cpu_moves_no_vcpu(life: Life, tell: Tell) -> None:
    before = life.cpus_of_vcpus()
    tell("seconds until all is in place", rewrite(life, life.given - CPUSet.of((spare_cpu(life),))))
    assert life.cpus_of_vcpus() == before


def test_a_cpuset_that_loses_a_vcpus_cpu_moves_that_vcpu_alone(life: Life, tell: Tell) -> None:
    before = life.cpus_of_vcpus()
    tell("seconds until all is in place", rewrite(life, life.given - CPUSet.of(before[1])))
    assert moved(before, life.cpus_of_vcpus()) == {1}


def test_an_exchanged_cpu_moves_the_vcpu_that_had_it(life: Life, kubelet: Kubelet, tell: Tell) -> None:
    before = life.cpus_of_vcpus()
    new = max(online_cpus() - life.group.cpus)
    tell("seconds until all is in place", rewrite(life, life.given - CPUSet.of(before[2]) | CPUSet.of((new,))))
    assert moved(before, life.cpus_of_vcpus()) == {2}


def test_a_widened_cpuset_is_left_alone(life: Life, tell: Tell) -> None:
    before, housekeeping = life.cpus_of_vcpus(), life.thread("emulator").allowed
    tell("seconds until all is in place", rewrite(life, life.given | CPUSet.of(online_cpus())))
    assert (life.cpus_of_vcpus(), life.thread("emulator").allowed) == (before, housekeeping)


def test_a_cpuset_below_the_need_degrades_the_guest_and_a_widened_one_cures_it(life: Life, tell: Tell) -> None:
    before = life.cpus_of_vcpus()
    left = CPUSet.of(before[0] | before[1])
    tell("seconds until all is in place, shared", rewrite(life, left, vcpus_on_a_cpu=2))
    assert moved(before, life.cpus_of_vcpus()) == {2}
    wait_until(lambda: life.condition("PinningVerified") == ("False", "CPUsetTooSmall"), "the condition says so")
    assert life.condition("Ready")[0] == "False"
    tell("seconds until all is in place again", rewrite(life, life.given))
    assert moved(before, life.cpus_of_vcpus()) <= {2}
    wait_until(lambda: life.condition("PinningVerified") == ("True", "AsPlanned"), "the condition says so")


def test_a_cpu_taken_offline_moves_its_vcpu_and_its_return_moves_nothing(life: Life, tell: Tell) -> None:
    before = life.cpus_of_vcpus()
    switch = CPUS / f"cpu{only(before[1])}/online"
    switch.write_text("0")
    try:
        began_s = time.monotonic()
        # The kernel takes the CPU out of the cpusets a little later, then out of the threads' affinities.
        wait_until(lambda: life.group.cpus < frozenset(life.given), "the CPU is no longer the container's")
        wait_until(lambda: not life.faults(), "every thread is where a plan without the CPU says")
        tell("seconds until all is in place without the CPU", round(time.monotonic() - began_s, 2))
        without = life.cpus_of_vcpus()
        assert moved(before, without) == {1}
    finally:
        switch.write_text("1")
    wait_until(lambda: life.group.cpus == frozenset(life.given), "the CPU is back in the container")
    life.settle()
    # Kernels before 6.2 take the threads' affinities away once more after that.
    wait_until(lambda: life.cpus_of_vcpus() == without, "every vCPU is where it was without the CPU")


@pytest.mark.parametrize("name", ["vCPU 1", "emulator", "IO iothread1", "IO mon_iothread"])
def test_a_thread_that_taskset_has_moved_is_put_back(life: Life, name: str, tell: Tell) -> None:
    thread = life.thread(name)
    taskset(thread, min(life.group.cpus - thread.allowed))
    began_s = time.monotonic()
    wait_until(lambda: life.thread(name).allowed == thread.allowed, f"{name} is back on {sorted(thread.allowed)}")
    tell("seconds until it is back", round(time.monotonic() - began_s, 2))


@contextmanager
def busy(*containers: Container) -> Iterator[None]:
    """Have every vCPU of these containers' guests run without a pause."""
    wait_until(lambda: all(gets_busy(container) for container in containers), "every vCPU runs without a pause")
    yield
    for container in containers:
        press(container, AT_REST)


def gets_busy(container: Container) -> bool:
    """Press the key for it, which a port that QEMU emulates may be slow to hand on; tell whether every vCPU runs."""
    press(container, BUSY)
    times = measured(tuple(vcpus_of(container.qemu_pid()).values()), window_s=1.0)
    return all(one.ran_s > 0.1 for one in times)


@contextmanager
def burning(group: Group) -> Iterator[None]:
    """Let the frozen processes of a container go on for a while, from when they do."""
    before_s = burnt_s(group)
    (group.folder / "cgroup.freeze").write_text("0")
    wait_until(lambda: burnt_s(group) > before_s + 1, "the neighbour burns")
    yield
    (group.folder / "cgroup.freeze").write_text("1")


def burnt_s(group: Group) -> float:
    """Return for how long the processes of a container have run, in all."""
    usage = dict(line.split() for line in (group.folder / "cpu.stat").read_text().splitlines())["usage_usec"]
    return int(usage) / 1e6


def measured(threads: Sequence[Thread], window_s: float = WINDOW_S) -> tuple[Times, ...]:
    """Return how long each thread ran and waited within a while."""
    before = [times_of(thread) for thread in threads]
    time.sleep(window_s)
    return tuple(times_of(thread).since(earlier) for thread, earlier in zip(threads, before, strict=True))


def added(times: Sequence[Times]) -> Times:
    return Times(ran_s=sum(one.ran_s for one in times), waited_s=sum(one.waited_s for one in times))


def in_words(times: Iterable[Times]) -> str:
    return ", ".join(f"ran {one.ran_s:.2f} s and waited {one.waited_s:.3f} s ({one.waiting:.1%})" for one in times)


def test_a_neighbour_on_every_other_cpu_makes_no_vcpu_wait(
    life: Life, floating: Container, neighbour: Group, tell: Tell
) -> None:
    pinned = tuple(life.vcpus().values())
    unpinned = tuple(vcpus_of(floating.qemu_pid()).values())
    with busy(life.container, floating):
        alone = measured(pinned)
        with burning(neighbour):
            beside = measured((*pinned, *unpinned))
    tell("pinned, alone", in_words(alone))
    tell("pinned, beside a neighbour on every other CPU", in_words(beside[:VCPUS]))
    tell("not pinned, beside the same neighbour", in_words(beside[VCPUS:]))
    told_correctly(life)
    assert min(one.ran_s for one in beside) > WINDOW_S / 10, "each of them had something to do"
    assert added(beside[:VCPUS]).waiting < WAITS_LITTLE
    assert added(beside[VCPUS:]).waiting > WAITS_LITTLE, "the figure can rise"


def told_correctly(life: Life) -> None:
    """Assert that /metrics tells the run-queue delay that the kernel tells."""
    for number, thread in life.vcpus().items():
        before = times_of(thread).waited_s
        told_s = life.metric("thread_run_queue_delay_seconds_total", role="vcpu", number=str(number))
        assert before <= told_s <= times_of(thread).waited_s


def test_a_killed_launcher_is_followed_by_one_that_adopts_the_guest(life: Life) -> None:
    qemu, before = life.qemu_pid, allowed_by_tid(life.qemu_pid)
    life.kill_launcher()
    assert moved_threads(before, allowed_by_tid(qemu)) == set()
    with partition(life.group):
        life.start(*EXCLUSIVE, "--kubelet-state", NOWHERE)
        life.launcher.wait_for("adopted: tests_demo, running")
        life.launcher.wait_for("verified:")
        life.settle()
        assert life.qemu_pid == qemu
        assert moved_threads(before, allowed_by_tid(qemu)) == set()
        (exclusive,) = (one for one in life.status()["conditions"] if one["type"] == "CPUsExclusive")
        assert (exclusive["status"], exclusive["message"]) == ("True", "the cpuset is a partition (root)")


def allowed_by_tid(pid: int) -> dict[int, frozenset[int]]:
    return {thread.tid: thread.allowed for thread in threads_of(pid)}


def moved_threads(before: dict[int, frozenset[int]], after: dict[int, frozenset[int]]) -> set[int]:
    """Return the threads that have other CPUs than before; QEMU's workers come and go."""
    return {tid for tid in before.keys() & after.keys() if before[tid] != after[tid]}


def test_an_orderly_end_has_the_status_0_and_leaves_nothing(life: Life) -> None:
    qemu = life.qemu_pid
    os.kill(life.launcher_pid, signal.SIGTERM)
    assert life.launcher.wait(PATIENCE_S) == 0, life.launcher.output
    # What the guest said goes with it; it stands in what the launcher wrote.
    assert POWERED_OFF in life.launcher.output
    wait_until(lambda: life.group.pids == (life.init_pid,), "nothing is left in the container")
    assert not Path(f"/proc/{qemu}").exists()
