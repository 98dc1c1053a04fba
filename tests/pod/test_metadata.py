"""What of a manifest's metadata the Pod has, and what has Multus make devices in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from launcher.vmi.document import parse_document
from tests.pod.pods import Rendered, rendered

CARDS = """
domain:
  memory: {guest: 1Gi}
  devices:
    interfaces:
    - {name: blue, bridge: {}}
    - {name: red, bridge: {}, macAddress: 52-54-00-AA-BB-CC}
    - {name: green, binding: {name: tap}}
networks:
- {name: blue, multus: {networkName: a-network-of-a-long-name}}
- {name: red, multus: {networkName: tenants/red}}
- {name: green, multus: {networkName: tenants/green@net7}}
"""


def with_metadata(metadata: str, spec: str = "{domain: {memory: {guest: 1Gi}}}") -> Rendered:
    text = f"apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nmetadata: {metadata}\nspec: {spec}\n"
    return rendered(parse_document("test", text.encode()))


def annotations_of(found: Rendered) -> dict[str, str]:
    result: dict[str, str] = found.pod["metadata"]["annotations"]
    return result


def test_annotations_reach_the_pod_but_for_kubectls_and_kubevirts_own() -> None:
    found = with_metadata(
        """
  name: guest
  annotations:
    cpu-load-balancing.crio.io: disable
    irq-load-balancing.crio.io: disable
    cpu-quota.crio.io: disable
    example.org/empty:
    kubectl.kubernetes.io/last-applied-configuration: '{}'
    kubectl.kubernetes.io/default-container: other
    kubevirt.io/latest-observed-api-version: v1
    kubevirt.io/ignitiondata: '{"ignition": {}}'
    kubevirt.io/storage-observed-api-version: v1
    kubevirt.io/keep-launcher-alive-after-failure: "true"
"""
    )
    assert annotations_of(found) == {
        "cpu-load-balancing.crio.io": "disable",
        "irq-load-balancing.crio.io": "disable",
        "cpu-quota.crio.io": "disable",
        "example.org/empty": "",
        "kubectl.kubernetes.io/default-container": "compute",
        "kubevirt.io/keep-launcher-alive-after-failure": "true",
    }
    assert "annotations" not in found.carrier["metadata"]
    # Ignition's data may hold keys.
    assert found.carrier["kind"] == "Secret"


def test_labels_reach_the_pod_but_for_those_of_kubevirts_controllers() -> None:
    own = "kubevirt.io: virt-launcher, kubevirt.io/created-by: x, vm.kubevirt.io/name: other"
    labels = f"{{app: web, kubevirt.io/vm: guest, {own}}}"
    found = with_metadata(f"{{name: guest, labels: {labels}}}")
    assert found.pod["metadata"]["labels"] == found.carrier["metadata"]["labels"]
    assert found.pod["metadata"]["labels"] == {
        "app": "web",
        "kubevirt.io/vm": "guest",
        "app.kubernetes.io/name": "virt-launcher",
        "app.kubernetes.io/instance": "guest",
        "vm.kubevirt.io/name": "guest",
        "vmi.kubevirt.io/id": "guest",
    }


@pytest.mark.parametrize(("value", "token"), [("'true'", True), ("'True'", True), ("'false'", False)])
def test_a_wish_for_istios_proxy_is_a_label_too_and_the_proxy_needs_a_token(value: str, token: bool) -> None:
    found = with_metadata(f"{{name: guest, annotations: {{sidecar.istio.io/inject: {value}}}}}")
    assert found.pod["metadata"]["labels"]["sidecar.istio.io/inject"] == value.strip("'")
    assert found.spec["automountServiceAccountToken"] is token


def test_multus_is_asked_for_a_device_of_the_name_by_which_the_launcher_finds_it() -> None:
    found = rendered(CARDS)
    assert json.loads(annotations_of(found)["k8s.v1.cni.cncf.io/networks"]) == [
        {"name": "a-network-of-a-long-name", "interface": "pod16477688c0e"},
        {"name": "red", "namespace": "tenants", "mac": "52:54:00:aa:bb:cc", "interface": "podb1f51a511f1"},
        {"name": "green", "namespace": "tenants", "interface": "net7"},
    ]
    assert found.requests["devices.kubevirt.io/tun"] == "1"
    assert "72Mi  passt: 2 x 72Mi" not in found.manifest.reasons
    assert any(line.endswith("144Mi  passt: 2 x 72Mi") for line in found.manifest.reasons)


def test_what_the_network_must_be_is_told_for_each_card() -> None:
    blue, red, green = rendered(CARDS).manifest.warnings
    assert blue.startswith(
        "interface blue: the NetworkAttachmentDefinition a-network-of-a-long-name connects the guest"
    )
    assert red.startswith("interface red: the NetworkAttachmentDefinition tenants/red connects")
    assert green.startswith(
        "interface green: the NetworkAttachmentDefinition tenants/green must make a tap that user 107"
    )


def test_a_default_network_is_multus_own_annotation_and_no_further_device() -> None:
    spec = """
domain:
  memory: {guest: 1Gi}
  devices: {interfaces: [{name: blue, slirp: {}}]}
networks: [{name: blue, multus: {networkName: tenants/blue, default: true}}]
"""
    found = rendered(spec)
    assert annotations_of(found)["v1.multus-cni.io/default-network"] == "tenants/blue"
    assert "k8s.v1.cni.cncf.io/networks" not in annotations_of(found)


HOSTS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("its_name", "guest", "", {"hostname": "guest"}),
    ("the_first_label_of_its_name_cut_at_63", f"{'a' * 63}", "", {"hostname": "a" * 63}),
    ("its_hostname", "guest", "hostname: web, ", {"hostname": "web"}),
    ("its_subdomain", "guest", "hostname: web, subdomain: pool, ", {"hostname": "web", "subdomain": "pool"}),
]


@pytest.mark.parametrize(("name", "spec", "wanted"), [row[1:] for row in HOSTS], ids=[row[0] for row in HOSTS])
def test_the_pod_is_called_as_the_guest_is(name: str, spec: str, wanted: dict[str, Any]) -> None:
    found = with_metadata(f"{{name: {name}}}", f"{{{spec}domain: {{memory: {{guest: 1Gi}}}}}}")
    assert {key: found.spec[key] for key in ("hostname", "subdomain") if key in found.spec} == wanted
