"""What `render` makes of a manifest that is written down in short, on a made-up node under KVM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from launcher.cpuset import CPUSet
from launcher.domain.blueprint import Blueprint
from launcher.domain.parts import VirtType
from launcher.domain.render import render
from launcher.host.model import AllowedCPUs
from launcher.host.synthetic import parse_synthetic
from launcher.network.expected import expected
from launcher.planner.iothreads import lay_out_iothreads
from launcher.planner.plan import plan
from launcher.storage.layout import KUBEVIRT_MOUNTS, expected_images, storage_folder
from launcher.vmi.load import admitted
from launcher.vmi.manifest import Document, Value
from tests.domain.blueprints import CONSOLE

TEMPLATES = Path(__file__).parents[2] / "templates/domain"
HOST = parse_synthetic("node:2(memory=8GiB hugepages=2MiB:1024,1GiB:4) core:8 pu:2")
CPUS = AllowedCPUs(cpus=CPUSet.parse("2-31"), source="test")


def manifest_of(text: str) -> dict[str, Any]:
    """Return the whole manifest: an instance called guest, or a VirtualMachine where the text says so."""
    given = yaml.safe_load(text)
    kind = given.get("kind", "VirtualMachineInstance")
    spec = given.get("spec", {"domain": {"memory": {"guest": "1Gi"}, "devices": {}}})
    if kind == "VirtualMachine":
        spec = {"runStrategy": "Always", "template": {"spec": spec}}
    metadata = {"name": "guest"} | given.get("metadata", {})
    return {"apiVersion": "kubevirt.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def rendered(text: str, arch: str = "x86_64") -> tuple[str, Value]:
    """Return the domain XML of this manifest, and the manifest."""
    manifest = manifest_of(text)
    guest = expected(admitted(Document(source="vmi.yaml", root=manifest), arch=arch).guest)
    blueprint = Blueprint(
        guest=guest,
        pinning=plan(guest, HOST, CPUS),
        iothreads=lay_out_iothreads(guest),
        virt_type=VirtType.KVM,
        arch=guest.arch,
        console=CONSOLE,
        storage_folder=storage_folder("/run/launcher", guest),
        images=expected_images(guest, KUBEVIRT_MOUNTS, "/run/launcher"),
    )
    template = TEMPLATES / f"{guest.arch}.xml"
    return render(blueprint, template.read_bytes(), str(template)), manifest
