"""PCI devices by a device plugin: the real kubelet's hints put the Pod on their node, and the guest sees them there."""

from __future__ import annotations

import json
import re

import pytest

from hack.kubelets.discs import DEMO_FILES, DEMO_IMAGE
from launcher.cpuset import CPUSet
from tests.e2e.guests import example
from tests.e2e.vfio import ON_ANOTHER_ROOT, ON_NODE_1, bind_all
from tests.kubernetes.api import Object
from tests.kubernetes.cluster import Cluster, cpus_of_threads, qemus, state_of_cpus, terminated
from tests.kubernetes.guests import KVM, manifests, pod_name, said

RESOURCE, KVM_RESOURCE = "example.com/rng", "devices.kubevirt.io/kvm"
POLICY = "single-numa-node"
# Nothing else is to be seen at the console than what the guest sees of its devices.
_PLACED = re.compile(r"guest: placed=1af4:1044 numa_node=(\d) root=(\S+)")


@pytest.fixture
def with_cards(node: Cluster) -> Cluster:
    """Return the node with its cards bound to vfio-pci, and a kubelet that takes CPUs and devices of one NUMA node."""
    bind_all()
    node.use_kubelet(topologyManagerPolicy=POLICY)
    node.wait_for("devices and huge pages of the node", lambda: _has_them(node))
    return node


def _has_them(cluster: Cluster) -> bool:
    allocatable = cluster.api.get("/api/v1/nodes/node")["status"]["allocatable"]
    return all(allocatable.get(name, "0") != "0" for name in (RESOURCE, KVM_RESOURCE, "hugepages-2Mi"))


def guest(name: str, devices: int) -> Object:
    """Return the demo guest with its kernel out of an image, one vCPU, a cell on its node, and so many devices."""
    vmi = example("demo")
    vmi["metadata"]["name"] = name
    domain = vmi["spec"]["domain"]
    # With the emulator's CPU two: as many as node 0 has beside those that are reserved.
    domain["cpu"] = {
        "cores": 1,
        "dedicatedCpuPlacement": True,
        "isolateEmulatorThread": True,
        "numa": {"guestMappingPassthrough": {}},
    }
    domain["memory"] = {"guest": "256Mi", "hugepages": {"pageSize": "2Mi"}}
    domain["resources"] = {}
    domain["devices"]["hostDevices"] = [{"name": f"d{n}", "deviceName": RESOURCE} for n in range(devices)]
    kernel, initramfs = (f"/boot/{name}" for name in DEMO_FILES)
    domain["firmware"]["kernelBoot"]["container"] = {
        "image": DEMO_IMAGE,
        "imagePullPolicy": "Never",
        "kernelPath": kernel,
        "initrdPath": initramfs,
    }
    return vmi


def test_two_devices_of_one_node_put_the_guest_on_it_and_it_sees_them(with_cards: Cluster) -> None:
    """Without them the static policy would take node 0's CPUs, which are free: node 1 alone has two of the devices."""
    cluster, vmi = with_cards, guest("random", devices=2)
    name = pod_name(vmi)
    foretold = planned(vmi, f"reserved=0-1,topology-manager={POLICY},device-nodes=1")
    assert foretold <= CPUSet.parse("4-7")
    assert planned(guest("random", devices=0), "reserved=0-1") == CPUSet.parse("2-3")
    try:
        cluster.apply(manifests(vmi, *KVM))
        pod = cluster.wait_until_ready(name)
        uid = pod["metadata"]["uid"]
        assert CPUSet.parse(state_of_cpus()[1][uid]["compute"]) == foretold
        vcpus, others = cpus_of_threads(qemus()[uid])
        assert frozenset().union(*(thread.allowed for thread in vcpus.values())) | others == frozenset(foretold)

        given = cluster.exec_(name, "busybox", "sh", "-c", "echo $PCI_RESOURCE_EXAMPLE_COM_RNG")
        assert sorted(given.stdout.strip().split(",")) == [ON_NODE_1, ON_ANOTHER_ROOT], given
        log = cluster.wait_for("guest that is up", lambda: _log_of_a_guest_that_is_up(cluster, name))
        placed = _PLACED.findall(log)
        assert [node for node, _ in placed] == ["0", "0"], log
        assert len({root for _, root in placed}) == 2, log
        assert log.count("bytes=32") == 2, log
        status = json.loads(cluster.exec_(name, "virt-launcher", "status", "--format", "json").stdout)
        present = next(entry for entry in status["conditions"] if entry["type"] == "DevicesPresent")
        assert (present["status"], present["reason"]) == ("True", "AllThere")
        last = cluster.delete(name)
        assert (terminated(last)["exitCode"], terminated(last)["message"]) == (
            0,
            "exit status 0: the guest powered off",
        )
    finally:
        cluster.forget(name)


def test_more_devices_than_a_node_has_are_refused_as_foretold(with_cards: Cluster) -> None:
    cluster, vmi = with_cards, guest("wide", devices=3)
    options = f"reserved=0-1,topology-manager={POLICY},device-nodes=0-1"
    refused = said("check", "--kubelet", options, guest=vmi)
    assert refused.returncode == 5, refused
    assert "TopologyAffinityError" in refused.stderr
    try:
        cluster.apply(manifests(vmi, *KVM))
        ended = cluster.wait_until_ended(pod_name(vmi))["status"]
        assert (ended["phase"], ended["reason"]) == ("Failed", "TopologyAffinityError")
    finally:
        cluster.forget(pod_name(vmi))


def planned(vmi: Object, options: str) -> CPUSet:
    """Return the CPUs that a plan for this node's kubelet gives to the guest."""
    answer = said("plan", "--kubelet", options, "--format", "json", guest=vmi)
    assert answer.returncode == 0, answer.stderr
    plan = json.loads(answer.stdout)
    return CPUSet.of(pin["cpu"] for pin in plan["vcpus"]) | CPUSet.parse(plan["emulator"])


def _log_of_a_guest_that_is_up(cluster: Cluster, name: str) -> str:
    log = cluster.log(name)
    return log if "guest: ready" in log else ""
