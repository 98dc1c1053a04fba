"""Pod Security Standards as the API server enforces them, and in-place resizes as the kubelet answers them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from launcher.pod.standards import Standard, refusals_of
from tests.kubernetes.api import Answer, Object
from tests.kubernetes.cluster import Cluster, cpus_of_threads, group_of, qemus, terminated
from tests.kubernetes.guests import manifests, pod_name, printed, vmi

REALTIME: Object = {"realtime": {}, "numa": {"guestMappingPassthrough": {}}}
GUESTS = {
    "a disk of the node": vmi("hosted"),
    "realtime": vmi("quick", cpu=REALTIME, memory={"guest": "64Mi", "hugepages": {"pageSize": "2Mi"}}),
}


def diskless(name: str) -> Object:
    """Return a guest with nothing of the node: its disk is empty and goes with the Pod."""
    guest = vmi(name)
    guest["spec"]["volumes"] = [{"name": "root", "emptyDisk": {"capacity": "1Gi"}}]
    return guest


@pytest.mark.parametrize("standard", list(Standard))
@pytest.mark.parametrize("name", [*GUESTS, "nothing of the node"])
def test_a_namespace_refuses_what_explain_says_it_refuses(cluster: Cluster, standard: Standard, name: str) -> None:
    guest = GUESTS.get(name) or diskless("plain")
    pod = next(entry for entry in _printed(guest, is_shared=name in GUESTS) if entry["kind"] == "Pod")
    against = [one for one in refusals_of(pod) if standard is Standard.RESTRICTED or one.standard is standard]
    explained = printed(guest, "--explain")
    answer = _answer(cluster, pod, enforcing(cluster, standard))
    assert bool(answer) == bool(against), answer
    if answer:
        assert answer.startswith("403: ")
        assert f'violates PodSecurity \\"{standard}:latest\\"' in answer
    for one in against:
        assert one.path.split()[-1] in answer
        assert one.found in explained


def enforcing(cluster: Cluster, standard: Standard) -> str:
    """Return a namespace that enforces the standard."""
    name = f"enforces-{standard}"
    labels = {"pod-security.kubernetes.io/enforce": str(standard)}
    namespaces = {entry["metadata"]["name"] for entry in cluster.api.get("/api/v1/namespaces")["items"]}
    if name not in namespaces:
        cluster.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        cluster.wait_for("service account", lambda: _has_account(cluster, name))
    return name


def _answer(cluster: Cluster, pod: Object, namespace: str) -> str:
    """Return why the API server does not take a Pod, nothing where it does."""
    try:
        cluster.api.create_dry({**pod, "metadata": {**pod["metadata"], "namespace": namespace}}, namespace)
    except Answer as answer:
        return str(answer)
    return ""


def _printed(guest: Object, *, is_shared: bool) -> list[Object]:
    """Return the manifests of a guest, without the cache that the tests share unless it has something of the node."""
    found = manifests(guest)
    volumes = (volume for entry in found for volume in entry.get("spec", {}).get("volumes", []))
    for volume in volumes:
        if not is_shared and volume["name"] == "shared-cache":
            volume["emptyDir"] = volume.pop("hostPath") and {}
    return found


def _has_account(cluster: Cluster, namespace: str) -> bool:
    try:
        return bool(cluster.api.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/default"))
    except Answer:
        return False


def test_a_resize_in_place_is_infeasible_and_the_guest_loses_nothing(cluster: Cluster) -> None:
    guest = vmi("resized")
    name = pod_name(guest)
    cluster.apply(manifests(guest))
    pod = cluster.wait_until_ready(name)
    qemu = qemus()[pod["metadata"]["uid"]]
    before = {thread.tid: thread.allowed for thread in cpus_of_threads(qemu)[0].values()}
    cpuset = (group_of(qemu) / "cpuset.cpus").read_text()
    compute = {"name": "compute", "resources": {"requests": {"cpu": "5"}, "limits": {"cpu": "5"}}}
    cluster.api.strategic(f"/api/v1/namespaces/default/pods/{name}/resize", {"spec": {"containers": [compute]}})

    def answered() -> Object | None:
        pod = cluster.pod(name)
        assert pod is not None
        conditions = {entry["type"]: entry for entry in pod["status"]["conditions"]}
        return conditions.get("PodResizePending")

    pending = cluster.wait_for("answer of the kubelet", answered)
    assert pending["reason"] == "Infeasible"
    assert 'alongside CPU Manager policy "static"' in pending["message"]
    assert (group_of(qemu) / "cpuset.cpus").read_text() == cpuset
    assert {thread.tid: thread.allowed for thread in cpus_of_threads(qemu)[0].values()} == before
    assert terminated(cluster.delete(name))["exitCode"] == 0
    cluster.forget(name)


@pytest.mark.kubelet(featureGates={"InPlacePodVerticalScalingExclusiveCPUs": True})
def test_a_resize_in_place_that_the_gate_admits_is_told_in_the_status_and_the_guest_loses_nothing(
    cluster: Cluster,
) -> None:
    """The kubelet's static policy leaves the cpuset as it was (1.36 and 1.37): the weight alone is another."""
    guest = vmi("grown")
    name = pod_name(guest)
    try:
        cluster.apply(manifests(guest))
        pod = cluster.wait_until_ready(name)
        qemu = qemus()[pod["metadata"]["uid"]]
        before = {thread.tid: thread.allowed for thread in cpus_of_threads(qemu)[0].values()}
        group = group_of(qemu)
        cpuset = (group / "cpuset.cpus").read_text().strip()
        # It has three, two of them its vCPUs': more, and then fewer.
        for cpus in (5, 2):
            resize(cluster, name, group, cpus)
            words = f"the container may use {cpus} CPUs' time, its cpuset is still {cpuset}"
            cluster.wait_for("word of the launcher", partial(is_told, cluster, name, words))
            assert words in cluster.log(name)
            assert (group / "cpuset.cpus").read_text().strip() == cpuset
            assert {thread.tid: thread.allowed for thread in cpus_of_threads(qemu)[0].values()} == before
        assert cluster.wait_until_ready(name)["status"]["containerStatuses"][0]["restartCount"] == 0
        assert terminated(cluster.delete(name))["exitCode"] == 0
    finally:
        cluster.forget(name)


def resize(cluster: Cluster, name: str, group: Path, cpus: int) -> None:
    """Resize a Pod's container to so many CPUs, and wait for its control group's other weight."""
    weight = (group / "cpu.weight").read_text()
    amount = {"cpu": str(cpus)}
    compute = {"name": "compute", "resources": {"requests": amount, "limits": amount}}
    cluster.api.strategic(f"/api/v1/namespaces/default/pods/{name}/resize", {"spec": {"containers": [compute]}})
    cluster.wait_for("new weight", lambda: (group / "cpu.weight").read_text() != weight)


def is_told(cluster: Cluster, name: str, words: str) -> bool:
    """Return whether the launcher's status says these words of a resize."""
    answer = cluster.exec_(name, "virt-launcher", "status", "--format", "json")
    return answer.returncode == 0 and words in str(json.loads(answer.stdout)["cpuset"]["resized"])
