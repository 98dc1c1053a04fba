"""The devices of the host that a Pod asks for: a device plugin's resources, claims, and the memory that VFIO takes."""

from __future__ import annotations

from tests.pod.pods import Rendered, rendered

GUEST = "domain: {{cpu: {{cores: 1}}, memory: {{guest: 1Gi}}, devices: {devices}}}\n"


def _pod(devices: str, more: str = "") -> Rendered:
    return rendered(GUEST.format(devices=devices) + more)


def test_the_resources_of_device_plugins_are_counted_and_their_request_is_their_limit() -> None:
    found = _pod(
        "{gpus: [{name: a, deviceName: nvidia.com/A10}, {name: b, deviceName: nvidia.com/A10}],"
        " hostDevices: [{name: c, deviceName: intel.com/qat}]}"
    )
    resources = found.launcher["resources"]
    for amounts in (resources["requests"], resources["limits"]):
        assert (amounts["nvidia.com/A10"], amounts["intel.com/qat"]) == ("2", "1")
    assert "claims" not in resources
    assert "    1024Mi  windows of the host's devices (VFIO)" in found.manifest.reasons


def test_claims_are_the_pods_and_their_requests_the_containers() -> None:
    found = _pod(
        "{gpus: [{name: a, claimName: mine, requestName: gpu}],"
        " hostDevices: [{name: b, claimName: made, requestName: r}]}",
        "resourceClaims: [{name: mine, resourceClaimName: of-mine}, {name: made, resourceClaimTemplateName: plan}]\n",
    )
    assert found.spec["resourceClaims"] == [
        {"name": "mine", "resourceClaimName": "of-mine"},
        {"name": "made", "resourceClaimTemplateName": "plan"},
    ]
    assert found.launcher["resources"]["claims"] == [
        {"name": "mine", "request": "gpu"},
        {"name": "made", "request": "r"},
    ]


def test_locked_memory_is_a_warning_for_no_pod_can_ask_for_it() -> None:
    (warning,) = [
        text for text in _pod("{gpus: [{name: a, deviceName: n.com/g}]}").manifest.warnings if "MEMLOCK" in text
    ]
    assert warning.startswith("devices of the host: VFIO locks the guest's memory and 1 GiB more, 2048 MiB in all;")
