"""The life of a Pod that `virt-launcher pod` printed, on a real kubelet, told by kernel, state file and API."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from launcher.cpuset import CPUSet
from tests.e2e.boot_sector import Sector
from tests.e2e.kernel import PROC, cpus_in
from tests.kubernetes.api import Object
from tests.kubernetes.cluster import (
    STATE,
    Cluster,
    cpus_of_threads,
    group_of,
    kubectl,
    qemus,
    state_of_cpus,
    terminated,
)
from tests.kubernetes.guests import BLANK, manifests, own_disk, pod_name, printed, said, vmi

_PORT = 19188


def started(cluster: Cluster, guest: Object) -> tuple[Object, int]:
    """Apply a guest's Pod, and return it and its QEMU once it is ready."""
    cluster.apply(manifests(guest))
    pod = cluster.wait_until_ready(pod_name(guest))
    return pod, qemus()[pod["metadata"]["uid"]]


@pytest.fixture
def guest(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Object]:
    """Return the manifest of a guest of this test's own, of which nothing is left in the end."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:30].strip("-")
    guest = vmi(name)
    yield guest
    cluster.forget(pod_name(guest))


def test_a_pod_from_apply_to_deletion(cluster: Cluster, guest: Object) -> None:
    name = pod_name(guest)
    planning = ("--kubelet", "reserved=0-1", "--kubelet-state", str(STATE), "--format", "json")
    planned = said("plan", *planning, guest=guest)
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)
    pool, _ = state_of_cpus()

    applied = kubectl("apply", "-f", "-", stdin=printed(guest))
    assert applied.returncode == 0, applied.stderr
    pod = cluster.wait_until_ready(name)

    # What was planned from the node's state is what the kubelet gave, and what the kernel holds every thread to.
    uid = pod["metadata"]["uid"]
    cpus = CPUSet.parse(state_of_cpus()[1][uid]["compute"])
    assert cpus == CPUSet.of(pin["cpu"] for pin in plan["vcpus"]) | CPUSet.parse(plan["emulator"])
    qemu = qemus()[uid]
    group = group_of(qemu)
    assert cpus_in((group / "cpuset.cpus").read_text()) == frozenset(cpus)
    vcpus, others = cpus_of_threads(qemu)
    assert {thread.name: thread.allowed for thread in vcpus.values()} == {
        f"CPU {pin['vcpu']}/TCG": frozenset({pin["cpu"]}) for pin in plan["vcpus"]
    }
    assert others == frozenset(CPUSet.parse(plan["emulator"]))

    # What `pod --explain` foretells of the kubelet's other decisions.
    foretold = next(line for line in printed(guest, "--explain").splitlines() if line.startswith("# kubelet: "))
    assert f"QoS class {pod['status']['qosClass']}: 3 CPUs of its own" in foretold
    assert (group / "cpu.max").read_text().split()[0] == "max"
    limit = re.search(r"memory limit (\d+)Mi", foretold)
    assert limit is not None
    assert int((group / "memory.max").read_text()) == int(limit[1]) << 20
    assert f"oom_score_adj {(PROC / str(qemu) / 'oom_score_adj').read_text().strip()}" in foretold

    assert "verified" in cluster.log(name)
    status = cluster.exec_(name, "virt-launcher", "status")
    assert status.returncode == 0, status.stderr
    assert "running" in status.stdout
    assert "virt_launcher" in _forwarded(name)

    last = cluster.delete(name)
    assert (terminated(last)["exitCode"], terminated(last)["message"]) == (0, "exit status 0: the guest powered off")
    assert qemu not in qemus().values()
    cluster.wait_for("CPUs given back", lambda: state_of_cpus()[0] == pool)


def _forwarded(name: str) -> str:
    """Return the metrics, through kubectl's port-forward."""
    words = ["/node/kubernetes/bin/kubectl", "port-forward", name, f"{_PORT}:9188"]
    forwarding = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert forwarding.stdout is not None
        assert "Forwarding from" in forwarding.stdout.readline()
        with urllib.request.urlopen(f"http://127.0.0.1:{_PORT}/metrics", timeout=60) as response:
            text: str = response.read().decode()
        return text
    finally:
        forwarding.kill()
        forwarding.wait()


def test_a_manifest_that_is_none_ends_with_status_3_and_names_the_field(cluster: Cluster, guest: Object) -> None:
    carrier, pod = manifests(guest)
    (name,) = carrier["data"]
    carrier["data"][name] = carrier["data"][name].replace("cores: 2", "cores: -2")
    cluster.apply([carrier, pod])
    ended = terminated(cluster.wait_until_ended(pod_name(guest)))
    assert ended["exitCode"] == 3
    assert ended["message"].startswith("exit status 3: ")
    assert "spec.domain.cpu.cores: -2" in ended["message"]


def test_a_container_with_fewer_cpus_than_the_guest_needs_ends_with_status_5(cluster: Cluster, guest: Object) -> None:
    *others, pod = manifests(guest)
    (compute,) = pod["spec"]["containers"]
    for kind in ("requests", "limits"):
        compute["resources"][kind]["cpu"] = "2"
    cluster.apply([*others, pod])
    ended = terminated(cluster.wait_until_ended(pod_name(guest)))
    assert ended["exitCode"] == 5
    assert "exit status 5: the guest needs 3 CPUs" in ended["message"]
    assert "request limits.cpu: 3" in ended["message"]


def test_a_guest_whose_qemu_dies_ends_with_status_8(cluster: Cluster, guest: Object) -> None:
    _, qemu = started(cluster, guest)
    os.kill(qemu, signal.SIGKILL)
    pod = cluster.wait_until_ended(pod_name(guest))
    assert pod["status"]["phase"] == "Failed"
    assert terminated(pod)["exitCode"] == 8
    assert terminated(pod)["message"].startswith("exit status 8: ")


def test_a_guest_that_powers_itself_off_ends_its_pod_well(cluster: Cluster) -> None:
    # Some seconds after it is ready; QEMU's emulated timer ticks 18 times in each.
    guest = vmi("tired", disk=own_disk("tired", Sector(ticks=18 * 20)))
    try:
        cluster.apply(manifests(guest))
        pod = cluster.wait_until_ended(pod_name(guest))
        assert pod["status"]["phase"] == "Succeeded"
        assert (terminated(pod)["exitCode"], terminated(pod)["message"]) == (0, "exit status 0: the guest powered off")
    finally:
        cluster.forget(pod_name(guest))


def test_a_pod_that_writes_beyond_its_folder_is_evicted_and_leaves_nothing(cluster: Cluster, guest: Object) -> None:
    pod, qemu = started(cluster, guest)
    name = pod_name(guest)
    (tmp,) = (volume["emptyDir"]["sizeLimit"] for volume in pod["spec"]["volumes"] if volume["name"] == "tmp")
    write = f"dd if=/dev/zero of=/tmp/much bs=1M count={int(tmp.removesuffix('Mi')) + 16}"
    written = cluster.exec_(name, "busybox", "sh", "-c", write)
    assert written.returncode == 0, written.stderr
    ended = cluster.wait_until_ended(name)["status"]
    assert (ended["phase"], ended["reason"]) == ("Failed", "Evicted")
    assert f'Usage of EmptyDir volume "tmp" exceeds the limit "{tmp}"' in ended["message"]
    cluster.wait_for("end of its guest", lambda: not Path(f"/proc/{qemu}").exists())
    cluster.wait_for("CPUs given back", lambda: pod["metadata"]["uid"] not in state_of_cpus()[1])


def test_a_guest_that_does_not_heed_the_button_is_destroyed_within_the_grace_period(cluster: Cluster) -> None:
    guest = vmi("deaf", disk=BLANK, grace_s=5)
    try:
        started(cluster, guest)
        begun_s = time.monotonic()
        last = cluster.delete(pod_name(guest))
        assert terminated(last)["exitCode"] == 9
        assert terminated(last)["message"].startswith("exit status 9: ")
        assert time.monotonic() - begun_s < 120
    finally:
        cluster.forget(pod_name(guest))


def test_a_launcher_that_is_killed_ends_its_pod_and_its_guest(cluster: Cluster, guest: Object) -> None:
    pod, qemu = started(cluster, guest)
    group = group_of(qemu)
    (launcher,) = (
        pid
        for pid in map(int, (group / "cgroup.procs").read_text().split())
        if b"virt-launcher" in (PROC / str(pid) / "cmdline").read_bytes() and pid != qemu
        and b"tini" not in (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")[0]
    )  # fmt: skip
    os.kill(launcher, signal.SIGKILL)
    ended = cluster.wait_until_ended(pod["metadata"]["name"])
    assert terminated(ended)["exitCode"] == 128 + signal.SIGKILL
    cluster.wait_for("end of its guest", lambda: not Path(f"/proc/{qemu}").exists())


@pytest.mark.parametrize("part", ["kubelet", "containerd"])
def test_a_guest_runs_on_while_a_part_of_the_node_is_started_again(cluster: Cluster, guest: Object, part: str) -> None:
    pod, qemu = started(cluster, guest)
    before = {thread.tid: thread.allowed for thread in cpus_of_threads(qemu)[0].values()}
    name, begun = pod["metadata"]["name"], datetime.now(UTC)
    cluster.restart(part)
    if part == "kubelet":
        cluster.wait_until_node_ready(begun)
    cluster.wait_for("exec", lambda: cluster.exec_(name, "virt-launcher", "status").returncode == 0)
    ready = cluster.wait_until_ready(name)
    assert qemus()[pod["metadata"]["uid"]] == qemu
    assert ready["status"]["containerStatuses"][0]["restartCount"] == 0
    assert {thread.tid: thread.allowed for thread in cpus_of_threads(qemu)[0].values()} == before
    assert terminated(cluster.delete(name))["exitCode"] == 0
