"""Virtual functions of networks (sriov) in the Pod: asked of Multus and of their device plugin, and told by both."""

from __future__ import annotations

import json
from typing import Any

import yaml

from launcher.pod.manifest import pod_manifest
from launcher.pod.options import PodOptions
from launcher.vmi.load import admitted
from launcher.vmi.manifest import Companion, Document
from tests.kubevirt.rendering import manifest_of

TEXT = """
metadata: {namespace: telco}
spec:
  domain:
    memory: {guest: 1Gi}
    devices:
      interfaces:
      - {name: front, masquerade: {}}
      - {name: left, sriov: {}, macAddress: "02:00:00:00:00:01"}
      - {name: right, sriov: {}}
      - {name: lan, bridge: {}}
  networks:
  - {name: front, pod: {}}
  - {name: left, multus: {networkName: blue}}
  - {name: right, multus: {networkName: other/red}}
  - {name: lan, multus: {networkName: blue}}
"""


def _definition(namespace: str | None, name: str, resource: str) -> Companion:
    metadata: dict[str, Any] = {"name": name, "annotations": {"k8s.v1.cni.cncf.io/resourceName": resource}}
    if namespace is not None:
        metadata["namespace"] = namespace
    root: dict[str, Any] = {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": metadata,
    }
    return Companion(source="stream", root=root)


def _pod(*companions: Companion) -> tuple[Any, Any]:
    document = Document(source="stream", root=manifest_of(TEXT), companions=companions)
    return (made := pod_manifest(document, admitted(document), PodOptions(image="i"))), made.pod


def test_functions_and_cards_of_one_resource_are_counted_together() -> None:
    _, pod = _pod(_definition(None, "blue", "example.com/vf"), _definition("other", "red", "example.com/vf"))
    resources = pod["spec"]["containers"][0]["resources"]
    assert resources["requests"]["example.com/vf"] == resources["limits"]["example.com/vf"] == "3"


def test_multus_is_asked_for_each_with_its_mac() -> None:
    _, pod = _pod()
    asked = json.loads(pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"])
    # The names are pod and eleven digits of each network's SHA-256, by sha256sum.
    assert {one["interface"]: (one["name"], one.get("namespace"), one.get("mac")) for one in asked} == {
        "pod360f8403594": ("blue", None, "02:00:00:00:00:01"),
        "pod094a367b026": ("blue", None, None),
        "pod27042f4e6ec": ("red", "other", None),
    }


def test_the_launcher_reads_what_multus_writes_and_the_definitions() -> None:
    made, pod = _pod(_definition(None, "blue", "example.com/vf"))
    (volume,) = (one for one in pod["spec"]["volumes"] if one["name"] == "network-status")
    assert volume["downwardAPI"]["items"] == [
        {
            "fieldRef": {"fieldPath": "metadata.annotations['k8s.v1.cni.cncf.io/network-status']"},
            "path": "network-status",
        }
    ]
    mounts = pod["spec"]["containers"][0]["volumeMounts"]
    assert {"name": "network-status", "mountPath": "/etc/podinfo", "readOnly": True} in mounts
    kinds = [one["kind"] for one in yaml.safe_load_all(made.carrier["data"]["vmi.yaml"])]
    assert kinds == ["VirtualMachineInstance", "NetworkAttachmentDefinition"]


def test_a_network_whose_resource_is_not_known_is_a_warning() -> None:
    made, _ = _pod(_definition(None, "blue", "example.com/vf"))
    assert [line.partition(":")[0] for line in made.warnings if "takes its virtual functions" in line] == [
        "interface right"
    ]
