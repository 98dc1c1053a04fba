"""What the objects that come with a machine say of its Pod."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from launcher.errors import InvalidVMI
from launcher.vmi.document import parse_document
from tests.pod.kubernetes import content_of
from tests.pod.pods import Rendered, rendered

MACHINE = """
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: guest, namespace: vms}
spec:
  runStrategy: Always
  dataVolumeTemplates:
  - metadata: {name: template}
    spec: {storage: {volumeMode: Block, resources: {requests: {storage: 1Gi}}}, source: {blank: {}}}
  template:
    spec:
      domain:
        memory: {guest: 1Gi}
        devices:
          disks: [{name: a, disk: {bus: virtio}}, {name: b, disk: {bus: virtio}}, {name: c, disk: {bus: virtio}}]
          interfaces:
          - {name: red, bridge: {}}
          - {name: blue, bridge: {}}
          - {name: green, bridge: {}}
      networks:
      - {name: red, multus: {networkName: fast}}
      - {name: blue, multus: {networkName: vms/fast}}
      - {name: green, multus: {networkName: other/fast}}
      volumes:
      - {name: a, dataVolume: {name: template}}
      - {name: b, persistentVolumeClaim: {claimName: raw}}
      - {name: c, persistentVolumeClaim: {claimName: files}}
"""
CLAIM = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}}}\nspec: {{volumeMode: {mode}}}\n"
DEFINITION = """
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: fast, namespace: vms, annotations: {k8s.v1.cni.cncf.io/resourceName: example.org/tap}}
"""
STREAM = "---\n".join(
    [CLAIM.format(name="raw", mode="Block"), CLAIM.format(name="files", mode="Filesystem"), DEFINITION, MACHINE]
)


@pytest.fixture(scope="module")
def found() -> Rendered:
    return rendered(parse_document("test", STREAM.encode()))


def test_a_claim_of_the_stream_or_of_a_template_is_a_device_where_it_says_so(found: Rendered) -> None:
    assert {device["devicePath"] for device in found.launcher["volumeDevices"]} == {"/dev/a", "/dev/b"}
    places = {mount["mountPath"] for mount in found.launcher["volumeMounts"]}
    assert "/var/run/kubevirt-private/vmi-disks/c" in places


def test_a_networks_definition_brings_the_device_that_it_asks_for_each_time(found: Rendered) -> None:
    assert found.requests["example.org/tap"] == found.limits["example.org/tap"] == "2"


def test_the_launcher_gets_the_machine_alone_of_what_the_kubelet_brings(found: Rendered) -> None:
    (root,) = yaml.safe_load_all(content_of(found.carrier)["vmi.yaml"])
    assert root == yaml.safe_load(MACHINE)


def test_a_file_system_of_a_block_device_is_refused() -> None:
    spec = """
domain: {memory: {guest: 1Gi}, devices: {filesystems: [{name: v, virtiofs: {}}]}}
volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]
"""
    with pytest.raises(InvalidVMI, match=r"filesystems\[0\].name: the claim of 'v' is a block device"):
        rendered(spec, block_volumes=frozenset({"v"}))


def test_a_port_with_a_name_is_one_that_a_service_may_name() -> None:
    ports: list[dict[str, Any]] = [{"name": "ssh", "containerPort": 2222, "protocol": "TCP"}]
    spec = """
domain:
  memory: {guest: 1Gi}
  devices: {interfaces: [{name: n0, slirp: {}, ports: [{name: ssh, port: 2222}, {port: 8080}]}]}
networks: [{name: n0, pod: {}}]
"""
    assert rendered(spec).launcher["ports"] == ports


APPLIED = """
apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata: {name: guest, namespace: vms}
spec:
  domain: {memory: {guest: 1Gi}, devices: {}}
  volumes:
  - {name: a, persistentVolumeClaim: {claimName: disk}}
  - {name: b, configMap: {name: files}}
  - {name: c, secret: {secretName: keys}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: files}, data: {a: b}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: others}, data: {a: b}}
---
{apiVersion: v1, kind: Secret, metadata: {name: keys, namespace: other}, stringData: {a: b}}
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: disk, namespace: vms}, spec: {}}
---
{apiVersion: v1, kind: Service, metadata: {name: files}, spec: {}}
"""


def test_what_the_pod_names_of_the_stream_is_printed_before_it() -> None:
    manifest = rendered(parse_document("stream", APPLIED.encode())).manifest
    objects = [(one["kind"], one["metadata"]["name"]) for one in yaml.safe_load_all(manifest.to_yaml())]
    assert objects == [
        ("ConfigMap", "files"),
        ("PersistentVolumeClaim", "disk"),
        ("ConfigMap", "virt-launcher-guest"),
        ("Pod", "virt-launcher-guest"),
    ]
