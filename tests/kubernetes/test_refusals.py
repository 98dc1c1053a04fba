"""What the kubelet and the scheduler refuse, and that it was foretold: reason and message as they give them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from launcher.cpuset import CPUSet
from launcher.host.sysfs import read_host
from launcher.host.tree import FolderTree
from launcher.kubelet.admission import container_cpuset
from launcher.kubelet.errors import Refused
from launcher.kubelet.options import parse_options
from launcher.pod.manifest import pod_requests
from tests.kubernetes.api import Object
from tests.kubernetes.cluster import Cluster, cpus_of_threads, group_of, qemus, state_of_cpus
from tests.kubernetes.guests import manifests, pod_name, said, vmi

PARITY = "alpha.kubevirt.io/EmulatorThreadCompleteToEvenParity"


@pytest.fixture
def pods(cluster: Cluster) -> Iterator[list[str]]:
    """Return a list for the names of Pods and ConfigMaps that go in the end."""
    names: list[str] = []
    yield names
    for name in names:
        cluster.forget(name)


def pause(name: str, cpus: int) -> Object:
    """Return a Pod that only waits, with CPUs of its own."""
    amounts = {"cpu": str(cpus), "memory": "32Mi"}
    container = {"name": "pause", "image": "localhost/pause:1", "imagePullPolicy": "Never"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "containers": [{**container, "resources": {"requests": amounts, "limits": amounts}}],
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
        },
    }


def foretold(pod: Object, options: str) -> Refused | CPUSet:
    """Return what the simulation says of a Pod on this node."""
    host = read_host(FolderTree(Path("/")), "x86_64")
    try:
        return container_cpuset(pod_requests(pod), host, parse_options(options)).cpus
    except Refused as refusal:
        return refusal


def assert_refused(cluster: Cluster, pod: Object, refusal: Refused | CPUSet) -> None:
    """Hold the Pod's end to what was foretold, reason and message."""
    assert isinstance(refusal, Refused)
    ended = cluster.wait_until_ended(pod["metadata"]["name"])["status"]
    assert (ended["phase"], ended["reason"]) == ("Failed", refusal.reason)
    assert ended["message"].removeprefix("Pod was rejected: ") == refusal.status


@pytest.mark.kubelet(cpuManagerPolicyOptions={"full-pcpus-only": "true"})
def test_an_odd_count_is_refused_where_cores_are_whole_and_the_even_parity_cures_it(
    cluster: Cluster, pods: list[str]
) -> None:
    node = "full-pcpus-only,reserved=0-1"
    odd = vmi("odd")
    even = vmi("even", annotations={PARITY: ""})
    for verb in ("check", "plan", "pod"):
        ended = said(verb, "--kubelet", node, guest=odd)
        assert ended.returncode == 5, ended
        assert "SMTAlignmentError: requested 3 CPUs" in ended.stderr
        assert PARITY in ended.stderr
        assert said(verb, "--kubelet", node, guest=even).returncode == 0
    pods += [pod_name(odd), pod_name(even)]
    refused = cluster.apply(manifests(odd))
    assert_refused(cluster, refused, foretold(refused, node))
    admitted = cluster.apply(manifests(even))
    pod = cluster.wait_until_ready(pod_name(even))
    given = CPUSet.parse(state_of_cpus()[1][pod["metadata"]["uid"]]["compute"])
    assert given == foretold(admitted, node)
    cluster.delete(pod_name(even))
    cluster.delete(pod_name(odd))


def under(policy: str, cases: list[tuple[int, int, bool]]) -> ParameterSet:
    """Return a row of cases for a kubelet with this policy of its Topology Manager."""
    return pytest.param(policy, cases, id=policy, marks=pytest.mark.kubelet(topologyManagerPolicy=policy))


@pytest.mark.parametrize(
    ("policy", "cases"),
    [
        under("single-numa-node", [(0, 8, True), (0, 9, False)]),
        under("restricted", [(0, 9, True), (4, 7, True), (7, 7, False)]),
        under("best-effort", [(7, 7, True)]),
    ],
)
def test_the_topology_manager_does_as_foretold(
    cluster: Cluster, pods: list[str], policy: str, cases: list[tuple[int, int, bool]]
) -> None:
    """The node has two NUMA nodes of eight CPUs, two of the first reserved.

    A case: the CPUs that a Pod before has, those that are asked for, and whether they are given.
    """
    pods += ["before", "asked"]
    for before, cpus, is_admitted in cases:
        node = f"reserved=0-1,topology-manager={policy}"
        if before:
            cluster.apply([pause("before", before)])
            cluster.wait_until_ready("before")
            node = f"{node},in-use={in_use()}"
        asked = cluster.apply([pause("asked", cpus)])
        answer = foretold(asked, node)
        assert isinstance(answer, CPUSet) == is_admitted
        if is_admitted:
            pod = cluster.wait_until_ready("asked")
            assert CPUSet.parse(state_of_cpus()[1][pod["metadata"]["uid"]]["pause"]) == answer
        else:
            assert_refused(cluster, asked, answer)
        for name in pods:
            cluster.delete(name, grace_s=1)
        cluster.wait_for("CPUs given back", lambda: not state_of_cpus()[1])


def in_use() -> CPUSet:
    """Return the CPUs that are some Pod's own by the kubelet's state."""
    lists = (cpulist for pod in state_of_cpus()[1].values() for cpulist in pod.values())
    return CPUSet(sum(CPUSet.parse(cpulist).mask for cpulist in lists))


def test_more_cpus_than_the_node_gives_away_stay_pending(cluster: Cluster, pods: list[str]) -> None:
    many = vmi("many", cpu={"cores": 14})
    assert "requested=15, available=14" in said("check", "--kubelet", "reserved=0-1", guest=many).stderr
    pods.append(pod_name(many))
    cluster.apply(manifests(many))
    assert "Insufficient cpu" in unscheduled(cluster, pod_name(many))


def test_a_node_without_the_label_is_not_chosen(cluster: Cluster, pods: list[str]) -> None:
    label(cluster, "false")
    try:
        guest = vmi("elsewhere")
        pods.append(pod_name(guest))
        cluster.apply(manifests(guest))
        assert "didn't match Pod's node affinity/selector" in unscheduled(cluster, pod_name(guest))
    finally:
        label(cluster, "true")


def test_a_pod_that_no_scheduler_asked_about_is_refused_by_the_kubelet_itself(
    cluster: Cluster, pods: list[str]
) -> None:
    """Who names the node goes past the scheduler; the kubelet counts, and looks at the label, anew."""
    pods += ["large", "shared", "unlabelled"]
    large, shared, unlabelled = pause("large", 15), pause("shared", 14), pause("unlabelled", 1)
    for pod in (large, shared, unlabelled):
        pod["spec"]["nodeName"] = "node"
    # Whole CPUs are dealt out before the kubelet adds up what is requested: its CPU manager is the first to refuse.
    cluster.apply([large])
    assert_refused(cluster, large, foretold(large, "reserved=0-1"))
    shared["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "14500m"}}
    cluster.apply([shared])
    ended = cluster.wait_until_ended("shared")["status"]
    assert (ended["phase"], ended["reason"]) == ("Failed", "OutOfcpu")
    assert "Node didn't have enough resource: cpu, requested: 14500, used: 0, capacity: 14000" in ended["message"]
    unlabelled["spec"]["nodeSelector"] = {"cpumanager": "another"}
    cluster.apply([unlabelled])
    ended = cluster.wait_until_ended("unlabelled")["status"]
    assert (ended["phase"], ended["reason"]) == ("Failed", "NodeAffinity")
    assert "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector" in ended["message"]


@pytest.mark.kubelet(cpuManagerPolicy="none")
def test_a_node_with_the_policy_none_gives_no_cpus_of_its_own(cluster: Cluster, pods: list[str]) -> None:
    guest = vmi("shared")
    name = pod_name(guest)
    warned = said("check", "--kubelet", "policy=none", guest=guest)
    assert "gets no CPUs of its own but the shared pool, for the CPU manager's policy is none" in warned.stderr
    pods.append(name)
    cluster.apply(manifests(guest))
    pod = cluster.wait_until_ready(name)
    assert state_of_cpus()[1] == {}
    # The guest runs pinned on what everybody may use, and nobody is told that its CPUs are its own.
    qemu = qemus()[pod["metadata"]["uid"]]
    assert not (group_of(qemu) / "cpuset.cpus").read_text().strip()
    assert all(len(thread.allowed) == 1 for thread in cpus_of_threads(qemu)[0].values())
    status = json.loads(cluster.exec_(name, "virt-launcher", "status", "--format", "json").stdout)
    exclusive = next(entry for entry in status["conditions"] if entry["type"] == "CPUsExclusive")
    assert exclusive["status"] != "True", exclusive
    cluster.delete(name)


def label(cluster: Cluster, value: str) -> None:
    """Set the label as `node-label` does."""
    cluster.api.patch("/api/v1/nodes/node", {"metadata": {"labels": {"cpumanager": value}}})


def unscheduled(cluster: Cluster, name: str) -> str:
    """Return why the scheduler finds no node for a Pod."""

    def why() -> str:
        pod = cluster.pod(name)
        assert pod is not None
        conditions = pod["status"].get("conditions", [])
        return next((entry["message"] for entry in conditions if entry.get("reason") == "Unschedulable"), "")

    return cluster.wait_for(f"word of the scheduler on {name}", why)
