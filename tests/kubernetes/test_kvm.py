"""Guests under KVM in Pods: the device by a plugin, huge pages by the kubelet, and the default seccomp profile."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.e2e.kernel import PROC, SCHED_FIFO, cpus_in
from tests.kubernetes.api import Object
from tests.kubernetes.cluster import Cluster, cpus_of_threads, qemus, state_of_cpus, terminated
from tests.kubernetes.guests import KVM, manifests, pod_name, printed, vmi

PASSTHROUGH: Object = {"numa": {"guestMappingPassthrough": {}}}


@pytest.fixture
def names(kvm: Cluster) -> Iterator[list[str]]:
    """Return a list for the names of Pods that go in the end."""
    names: list[str] = []
    yield names
    for name in names:
        kvm.forget(name)


def started(cluster: Cluster, names: list[str], guest: Object) -> tuple[Object, int]:
    names.append(pod_name(guest))
    cluster.apply(manifests(guest, *KVM))
    pod = cluster.wait_until_ready(pod_name(guest))
    return pod, qemus()[pod["metadata"]["uid"]]


def field(qemu: int, name: str) -> str:
    """Return a line of what the kernel says of a process (proc_pid_status(5))."""
    (found,) = re.findall(rf"(?m)^{name}:\s+(.*)$", (PROC / str(qemu) / "status").read_text())
    return str(found)


def test_a_guest_runs_under_kvm_as_a_user_without_rights_by_the_plugins_device(kvm: Cluster, names: list[str]) -> None:
    pod, qemu = started(kvm, names, vmi("virtual"))
    assert field(qemu, "Uid").split() == ["107"] * 4
    assert int(field(qemu, "CapEff"), 16) == 0
    assert field(qemu, "Seccomp") == "2"
    vcpus, others = cpus_of_threads(qemu)
    own = cpus_in(state_of_cpus()[1][pod["metadata"]["uid"]]["compute"])
    assert sorted(vcpus) == ["CPU 0/KVM", "CPU 1/KVM"]
    assert all(len(thread.allowed) == 1 for thread in vcpus.values())
    assert frozenset().union(*(thread.allowed for thread in vcpus.values())) | others == own
    last = kvm.delete(pod_name(vmi("virtual")))
    assert (terminated(last)["exitCode"], terminated(last)["message"]) == (0, "exit status 0: the guest powered off")


@pytest.mark.parametrize(("page", "memory", "kibibytes"), [("2Mi", "64Mi", 64 << 10), ("1Gi", "1Gi", 1 << 20)])
def test_a_guest_has_the_huge_pages_that_the_kubelet_gave_its_pod(
    kvm: Cluster, names: list[str], page: str, memory: str, kibibytes: int
) -> None:
    guest = vmi("paged", memory={"guest": memory, "hugepages": {"pageSize": page}})
    pod, qemu = started(kvm, names, guest)
    assert pod["spec"]["containers"][0]["resources"]["limits"][f"hugepages-{page}"] == memory
    assert field(qemu, "HugetlbPages") == f"{kibibytes} kB"
    assert terminated(kvm.delete(pod_name(guest)))["exitCode"] == 0


def test_passthrough_under_the_default_profile_starts_with_what_pod_adds_and_ends_with_the_reason_without(
    kvm: Cluster, names: list[str]
) -> None:
    memory = {"guest": "64Mi", "hugepages": {"pageSize": "2Mi"}}
    guest = vmi("mapped", cpu=PASSTHROUGH, memory=memory)
    assert "SYS_NICE" in printed(guest, *KVM, "--explain")
    pod, qemu = started(kvm, names, guest)
    assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert field(qemu, "Seccomp") == "2"
    bound = [
        line for line in (PROC / str(qemu) / "numa_maps").read_text().splitlines() if " bind" in line and "huge" in line
    ]
    assert bound
    assert terminated(kvm.delete(pod_name(guest)))["exitCode"] == 0

    without = vmi("unmapped", cpu=PASSTHROUGH, memory=memory)
    names.append(pod_name(without))
    *others, pod = manifests(without, *KVM)
    del pod["spec"]["containers"][0]["securityContext"]["capabilities"]["add"]
    kvm.apply([*others, pod])
    ended = terminated(kvm.wait_until_ended(pod_name(without)))
    assert ended["exitCode"] == 7
    assert "SYS_NICE" in ended["message"]


def test_a_realtime_guests_vcpus_run_first_come_first_served(kvm: Cluster, names: list[str]) -> None:
    memory = {"guest": "64Mi", "hugepages": {"pageSize": "2Mi"}}
    guest = vmi("quick", cpu={**PASSTHROUGH, "realtime": {}}, memory=memory)
    _, qemu = started(kvm, names, guest)
    vcpus, _ = cpus_of_threads(qemu)
    assert {(thread.policy, thread.priority) for thread in vcpus.values()} == {(SCHED_FIFO, 1)}
    assert int(field(qemu, "CapEff"), 16) == 0
    assert terminated(kvm.delete(pod_name(guest)))["exitCode"] == 0
