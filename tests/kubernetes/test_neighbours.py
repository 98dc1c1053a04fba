"""Guests and others on one node: whose CPUs are whose, sampled from the kernel."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.kernel import PROC, cpus_in, threads_of
from tests.kubernetes.api import Object
from tests.kubernetes.cluster import CGROUPS, Cluster, group_of, qemus, state_of_cpus
from tests.kubernetes.guests import manifests, own_disk, pod_name, vmi

_SAMPLES = 20
# What the neighbour waits for before it burns: an emulated node has no time for guests to start beside that.
_BURN = "burn"
_LOOPS = 4


def busy() -> Object:
    """Return a burstable Pod that would take all time of all CPUs, once it is told to."""
    loop = f"until [ -e /{_BURN} ]; do sleep 1; done; for _ in $(seq {_LOOPS}); do while :; do :; done & done; wait"
    container = {
        "name": "busy",
        "image": manifests(vmi("any"))[-1]["spec"]["containers"][0]["image"],
        "imagePullPolicy": "Never",
        "command": ["busybox", "sh", "-c", loop],
        "resources": {"requests": {"cpu": "100m", "memory": "32Mi"}},
    }
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "busy"}, "spec": spec}


@pytest.fixture
def guests(cluster: Cluster) -> Iterator[list[Object]]:
    guests = [vmi(name, disk=own_disk(name)) for name in ("guest-0", "guest-1", "guest-2")]
    yield guests
    for name in ("busy", *map(pod_name, guests)):
        cluster.forget(name)


def test_three_guests_and_a_busy_neighbour_never_share_a_cpu(cluster: Cluster, guests: list[Object]) -> None:
    cluster.apply([busy()])
    shared = cluster.wait_until_ready("busy")
    # What the first one learns of QEMU the others know.
    pods = [started(cluster, guests[0])]
    for guest in guests[1:]:
        cluster.apply(manifests(guest))
    pods += [cluster.wait_until_ready(pod_name(guest)) for guest in guests[1:]]

    pool, entries = state_of_cpus()
    own = [frozenset(cpus_in(entries[pod["metadata"]["uid"]]["compute"])) for pod in pods]
    assert sum(map(len, own)) == len(frozenset.union(*own)) == 9
    assert not frozenset(pool) & frozenset.union(*own)
    group = container_group(shared)
    cluster.wait_for("narrower neighbour", lambda: cpus_in((group / "cpuset.cpus").read_text()) == frozenset(pool))
    burn(cluster, group)
    for _ in range(_SAMPLES):
        threads = [thread for pid in pids_in(group) for thread in threads_of(int(pid))]
        assert all(thread.allowed <= frozenset(pool) for thread in threads)
        running = [thread for thread in threads if thread.is_running]
        assert running
        assert all(thread.cpu in frozenset(pool) for thread in running)
        time.sleep(0.2)
    for pod, cpus in zip(pods, own, strict=True):
        qemu = qemus()[pod["metadata"]["uid"]]
        assert frozenset(cpus_in((group_of(qemu) / "cpuset.cpus").read_text())) == cpus

    # What one leaves is everybody's again.
    cluster.delete(pod_name(guests[0]))
    cluster.wait_for("wider pool", lambda: own[0] <= frozenset(state_of_cpus()[0]))
    cluster.wait_for("wider neighbour", lambda: own[0] <= frozenset(cpus_in((group / "cpuset.cpus").read_text())))


def started(cluster: Cluster, guest: Object) -> Object:
    """Apply a guest's Pod and return it once it is ready."""
    cluster.apply(manifests(guest))
    return cluster.wait_until_ready(pod_name(guest))


def burn(cluster: Cluster, group: Path) -> None:
    """Have the neighbour burn, and wait until its loops run."""
    first, *_ = pids_in(group)
    (PROC / first / "root" / _BURN).touch()
    cluster.wait_for("neighbour that burns", lambda: len(pids_in(group)) > _LOOPS)


def pids_in(group: Path) -> list[str]:
    """Return the processes of a control group."""
    return (group / "cgroup.procs").read_text().split()


def container_group(pod: Object) -> Path:
    """Return the control group of a burstable Pod's one container."""
    (container,) = pod["status"]["containerStatuses"]
    identity: str = container["containerID"].removeprefix("containerd://")
    return CGROUPS / f"kubepods/burstable/pod{pod['metadata']['uid']}" / identity


def test_sidecars_of_container_disks_leave_the_pod_guaranteed_and_have_no_cpu_of_their_own(cluster: Cluster) -> None:
    guest = vmi("sidecars", grace_s=1)
    image = manifests(vmi("any"))[-1]["spec"]["containers"][0]["image"]
    # Whatever file the image has; what the guest makes of it does not matter here.
    disk = {"image": image, "path": "/usr/share/seabios/bios-256k.bin", "imagePullPolicy": "Never"}
    guest["spec"]["domain"]["devices"]["disks"].append({"name": "more", "disk": {"bus": "virtio"}})
    guest["spec"]["volumes"].append({"name": "more", "containerDisk": disk})
    name = pod_name(guest)
    try:
        asked = cluster.apply(manifests(guest, "--layer-size", "64Mi"))
        helpers = [entry["name"] for entry in _containers(asked) if entry["name"] != "compute"]
        assert helpers
        pod = cluster.wait_until_ready(name)
        assert pod["status"]["qosClass"] == "Guaranteed"
        pool, entries = state_of_cpus()
        assert list(entries[pod["metadata"]["uid"]]) == ["compute"]
        own = frozenset(cpus_in(entries[pod["metadata"]["uid"]]["compute"]))
        assert len(own) == 3
        qemu = qemus()[pod["metadata"]["uid"]]
        groups = [path.parent for path in group_of(qemu).parent.glob("*/cgroup.procs") if path.parent != group_of(qemu)]
        held = [frozenset(cpus_in((group / "cpuset.cpus").read_text())) for group in groups]
        # The Pod's own container, which waits, is bound to nothing; each sidecar to the shared pool.
        assert frozenset(pool) in held
        assert all(cpus in {frozenset(), frozenset(pool)} for cpus in held), held
    finally:
        cluster.forget(name)


def _containers(pod: Object) -> list[Object]:
    return [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
