"""Resources that Kubernetes hands out whole, and those that a manifest asks for beside the launcher's own."""

from __future__ import annotations

import pytest

from launcher.errors import InvalidVMI
from tests.pod.pods import Rendered, rendered

KVM = "devices.kubevirt.io/kvm"
GPU = "example.org/gpu"


def asking(requests: str = "{}", limits: str = "{}", more: str = "memory: {guest: 1Gi}") -> Rendered:
    return rendered(f"domain:\n  {more}\n  resources: {{requests: {requests}, limits: {limits}}}")


WHOLE = [
    ("a_device_in_requests_alone", f"{{{GPU}: 2}}", "{}", GPU, "2"),
    ("a_device_in_limits_alone", "{}", f"{{{GPU}: 1}}", GPU, "1"),
    ("a_device_in_both_as_the_most", f"{{{GPU}: 1}}", f"{{{GPU}: '3'}}", GPU, "3"),
    ("the_launchers_own_device_as_the_most", f"{{{KVM}: 1}}", f"{{{KVM}: 5}}", KVM, "5"),
    ("huge_pages_of_another_size", "{hugepages-1Gi: 2Gi}", "{}", "hugepages-1Gi", "2Gi"),
]


@pytest.mark.parametrize(
    ("requests", "limits", "name", "amount"), [row[1:] for row in WHOLE], ids=[row[0] for row in WHOLE]
)
def test_the_request_is_the_limit_of(requests: str, limits: str, name: str, amount: str) -> None:
    found = asking(requests, limits)
    assert found.requests[name] == found.limits[name] == amount


REFUSED = [
    ("half_a_device", f"{{{GPU}: 500m}}", r"spec.domain.resources.requests\['example.org/gpu'\]: 500m is not a whole"),
    ("a_resource_that_a_container_cannot_have", "{storage: 1Gi}", r"requests.storage: 'storage' is not a resource"),
    ("one_of_a_quota", "{requests.nvidia.com/gpu: 1}", r"is no resource that a container can have"),
    ("one_in_kubernetes_own_domain", "{kubernetes.io/x: 1}", r"is no resource that a container can have"),
]


@pytest.mark.parametrize(("requests", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_it_is_refused(requests: str, message: str) -> None:
    with pytest.raises(InvalidVMI, match=message):
        asking(requests)


def test_what_the_manifest_asks_of_the_nodes_disk_is_added_to_what_the_launcher_needs() -> None:
    plain, more = asking(), asking("{ephemeral-storage: 1Gi}", "{ephemeral-storage: 2Gi}")
    assert (plain.requests["ephemeral-storage"], plain.limits["ephemeral-storage"]) == ("48Mi", "258Mi")
    assert (more.requests["ephemeral-storage"], more.limits["ephemeral-storage"]) == ("1072Mi", "2306Mi")
    assert "    2048Mi  what the manifest asks for" in more.manifest.reasons


def test_a_request_below_the_guests_memory_is_no_negative_line() -> None:
    found = asking("{memory: 512Mi}", "{memory: 4Gi}")
    assert "     512Mi  what the manifest requests, of the guest's 1024Mi" in found.manifest.reasons
    assert not any("-" in line.split("Mi")[0] for line in found.manifest.reasons if "Mi  " in line)
    assert found.requests["memory"] == "674Mi"


def test_overhead_that_is_overcommitted_on_purpose_is_not_requested() -> None:
    plain = asking()
    found = rendered("domain: {memory: {guest: 1Gi}, resources: {overcommitGuestOverhead: true}}")
    assert (found.requests["memory"], plain.requests["memory"]) == ("1024Mi", "1186Mi")
