"""What a VirtualMachine's dataVolumeTemplates become: claims, where they can be known, and what is to be done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from launcher.cli import main
from launcher.vmi.document import parse_document
from tests.pod.pods import Rendered, rendered

MACHINE = """
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {{name: guest, namespace: vms}}
spec:
  runStrategy: Always
  dataVolumeTemplates:
  - metadata: {{name: root}}
    spec: {spec}
  template:
    spec:
      domain:
        memory: {{guest: 1Gi}}
        devices: {{disks: [{{name: root, disk: {{bus: virtio}}}}]}}
      volumes: [{{name: root, dataVolume: {{name: root}}}}]
"""


def machine(spec: str) -> Rendered:
    return rendered(parse_document("test", MACHINE.format(spec=spec).encode()))


PVC = """{pvc: {accessModes: [ReadWriteMany], volumeMode: Block, storageClassName: fast,
       resources: {requests: {storage: 30Gi}}}, source: {http: {url: 'http://h/i.qcow2'}}}"""
CLAIMS: list[tuple[str, str, dict[str, Any], str]] = [
    (
        "a_claim_as_it_is_asked_for",
        PVC,
        {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "30Gi"}},
            "storageClassName": "fast",
            "volumeMode": "Block",
        },
        "`pod` prints its claim, and fill it with the image of http://h/i.qcow2, made raw, as disk.img or on the block",
    ),
    (
        "storage_that_cdi_would_ask_its_profile_about",
        "{storage: {resources: {requests: {storage: 10Gi}}}, source: {registry: {url: 'docker://r/i:1'}}}",
        {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}},
        "`pod` prints its claim with the access mode ReadWriteOnce, which CDI would ask its profile, and fill it with",
    ),
    (
        "a_copy_of_another",
        "{storage: {resources: {requests: {storage: 1Gi}}}, source: {pvc: {namespace: images, name: golden}}}",
        {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        "and fill it with a copy of the pvc images/golden",
    ),
    (
        "an_empty_one",
        "{storage: {resources: {requests: {storage: 1Gi}}}, source: {blank: {}}}",
        {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        "and make an empty raw disk.img of that size in it",
    ),
    (
        "what_a_reference_stands_for",
        "{storage: {resources: {requests: {storage: 1Gi}}}, sourceRef: {kind: DataSource, name: fedora}}",
        {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        "and fill it with what the DataSource fedora stands for",
    ),
]


@pytest.mark.parametrize(("spec", "wanted", "words"), [row[1:] for row in CLAIMS], ids=[row[0] for row in CLAIMS])
def test_a_template_becomes(spec: str, wanted: dict[str, Any], words: str) -> None:
    found = machine(spec)
    (claim,) = found.manifest.claims
    assert claim["metadata"] == {"name": "root", "namespace": "vms"}
    assert claim["spec"] == wanted
    (warning,) = found.manifest.warnings
    assert warning.startswith("dataVolumeTemplate root: nothing here makes or fills it; ")
    assert words in warning


@pytest.mark.parametrize(
    "size", ["{}", "{resources: {requests: {storage: 0}}}", "{resources: {requests: {storage: x}}}"]
)
def test_a_claim_whose_size_nobody_says_is_told_and_not_made_up(size: str) -> None:
    found = machine(f"{{storage: {size}, sourceRef: {{kind: DataSource, name: fedora}}}}")
    assert found.manifest.claims == ()
    (warning,) = found.manifest.warnings
    assert "its size is not known here, so `pod` prints no claim: make one called root" in warning


def test_a_machine_without_templates_has_nothing_to_be_told() -> None:
    found = rendered("domain: {memory: {guest: 1Gi}}")
    assert (found.manifest.claims, found.manifest.warnings) == ((), ())


def test_check_says_so_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "vm.yaml"
    path.write_text(MACHINE.format(spec=PVC))
    assert main(["check", str(path)]) == 0
    output = capsys.readouterr()
    assert "is valid" in output.out
    assert output.err.startswith("virt-launcher: warning: dataVolumeTemplate root: nothing here makes or fills it; ")
