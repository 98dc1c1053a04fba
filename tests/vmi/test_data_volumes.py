"""The dataVolumeTemplates of a VirtualMachine: what KubeVirt would refuse is refused, with its path."""

from __future__ import annotations

from typing import cast

import pytest

from launcher.errors import InvalidVMI
from launcher.vmi.load import admitted
from launcher.vmi.manifest import Document, Value
from tests.vmi.manifests import machine

PATH = "spec.dataVolumeTemplates[0]"
SOURCES = "http, s3, gcs, registry, pvc, upload, blank, imageio, vddk, snapshot"
GOOD: dict[str, Value] = {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}}


def _machine(templates: Value) -> Document:
    volumes: Value = [{"name": "root", "dataVolume": {"name": "root"}}]
    vm = machine({"spec.domain.devices.disks": [{"name": "root"}], "spec.volumes": volumes})
    cast("dict[str, dict[str, Value]]", vm.root)["spec"]["dataVolumeTemplates"] = templates
    return vm


def _faults(templates: Value) -> list[str]:
    try:
        admitted(_machine(templates))
    except InvalidVMI as error:
        return [str(fault) for fault in error.faults]
    return []


def _template(spec: Value, name: str = "root") -> Value:
    return [{"metadata": {"name": name, "creationTimestamp": None}, "spec": spec, "status": {}}]


ROWS: list[tuple[str, Value, list[str]]] = [
    ("a_good_one", _template(GOOD), []),
    ("none", [], []),
    ("no_list", {}, ["spec.dataVolumeTemplates: a mapping is not a list"]),
    ("text", ["x"], [f"{PATH}: 'x' is not a mapping"]),
    (
        "a_field_of_the_source_that_nobody_has",
        _template({**GOOD, "source": {"blank": {}, "size": "1Gi"}}),
        [f"{PATH}.spec.source.size: no such field; wanted {SOURCES}"],
    ),
    (
        "one_that_no_volume_uses",
        _template(GOOD, "other"),
        [f"{PATH}.metadata.name: 'other' is in no dataVolume of the template's volumes"],
    ),
    ("no_name", [{"metadata": {}, "spec": GOOD}], [f"{PATH}.metadata.name: missing"]),
    ("no_claim", _template({"source": {"blank": {}}}), [f"{PATH}.spec: has neither; wanted pvc or storage"]),
    ("two_claims", _template({**GOOD, "pvc": {}}), [f"{PATH}.spec: has both; wanted pvc or storage"]),
]


@pytest.mark.parametrize(("templates", "faults"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_template_is_looked_at(templates: Value, faults: list[str]) -> None:
    assert _faults(templates) == faults
