"""Manifests for the tests: one that is valid, and changes to it by field path."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import cast

import yaml

from launcher.vmi.manifest import Document, Value

EXAMPLES = Path(__file__).parents[2] / "templates" / "examples"

VALID = """
apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata:
  name: guest
spec:
  domain:
    cpu: {}
    memory:
      guest: 1Gi
    resources:
      requests: {}
      limits: {}
    firmware: {}
    devices:
      disks:
        - name: root
          disk: {bus: virtio}
        - name: data
          disk: {bus: virtio}
  volumes:
    - name: root
      hostDisk: {path: /images/root.img, type: Disk}
    - name: data
      hostDisk: {path: /images/data.img, type: Disk}
"""

Changes = dict[str, object]


class Absent:
    """A change to this value takes the field away."""


ABSENT = Absent()


def manifest(changes: Changes | None = None) -> dict[str, Value]:
    """Return the valid manifest with some fields set: {"spec.domain.devices.disks[0].name": "x"}."""
    root = cast("dict[str, Value]", yaml.safe_load(VALID))
    for path, value in (changes or {}).items():
        _change(root, path, value)
    return root


def document(changes: Changes | None = None) -> Document:
    """Return the changed manifest as a document that was read from "vmi.yaml"."""
    return Document(source="vmi.yaml", root=manifest(changes))


def machine(changes: Changes | None = None, metadata: dict[str, Value] | None = None) -> Document:
    """Return a VirtualMachine whose template has the changed manifest's spec and this metadata, read from "vm.yaml"."""
    root = manifest(changes)
    template: dict[str, Value] = {"metadata": metadata or {}, "spec": root["spec"]}
    root |= {"kind": "VirtualMachine", "spec": {"runStrategy": "Always", "template": template}}
    return Document(source="vm.yaml", root=root)


def _change(root: dict[str, Value], path: str, value: object) -> None:
    *steps, last = re.findall(r"[^.\[\]]+", path)
    place: Value = root
    for step in steps:
        place = place[int(step)] if isinstance(place, list) else cast("dict[str, Value]", place).setdefault(step, {})
    if isinstance(place, list):
        place[int(last)] = cast("Value", copy.deepcopy(value))
    elif isinstance(value, Absent):
        del cast("dict[str, Value]", place)[last]
    else:
        cast("dict[str, Value]", place)[last] = cast("Value", copy.deepcopy(value))
