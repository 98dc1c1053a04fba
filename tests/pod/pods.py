"""Pods of manifests for the tests, as kubectl would read them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import yaml

from launcher.pod.manifest import PodManifest, pod_manifest
from launcher.pod.options import PodOptions
from launcher.vmi.document import parse_document
from launcher.vmi.load import admitted
from launcher.vmi.manifest import Document
from tests.pod.kubernetes import check_carrier, check_claim, check_pod

# One vCPU, 1 GiB, no disk; indented for `vmi`.
HEAD = """
apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata: {name: guest}
spec:
"""


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """The objects of the stream, checked, and the launcher's container in the Pod."""

    manifest: PodManifest
    carrier: dict[str, Any]
    pod: dict[str, Any]

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.pod["spec"]
        return spec

    @property
    def launcher(self) -> dict[str, Any]:
        container: dict[str, Any] = self.spec["containers"][0]
        return container

    @property
    def requests(self) -> dict[str, str]:
        requests: dict[str, str] = self.launcher["resources"]["requests"]
        return requests

    @property
    def limits(self) -> dict[str, str]:
        limits: dict[str, str] = self.launcher["resources"]["limits"]
        return limits

    def mount(self, path: str) -> dict[str, Any]:
        """Return the volume that the launcher has at this place."""
        (mount,) = [mount for mount in self.launcher["volumeMounts"] if mount["mountPath"] == path]
        (volume,) = [volume for volume in self.spec["volumes"] if volume["name"] == mount["name"]]
        return {key: value for key, value in {**volume, **mount}.items() if key not in ("name", "mountPath")}


def document(spec: str, annotations: dict[str, str] | None = None) -> Document:
    """Return the manifest of a guest with this spec, its lines not indented."""
    noted = f"metadata: {{name: guest, annotations: {json.dumps(annotations)}}}"
    head = HEAD if annotations is None else HEAD.replace("metadata: {name: guest}", noted)
    text = head + "".join(f"  {line}\n" for line in spec.strip().splitlines())
    return parse_document("test", text.encode())


def rendered(
    manifest: Document | str, *, arch: str = "x86_64", annotations: dict[str, str] | None = None, **choices: Any
) -> Rendered:
    """Return the Pod of a manifest, or of a guest with this spec, read back from its YAML and checked."""
    found = document(manifest, annotations) if isinstance(manifest, str) else manifest
    options = PodOptions(**{"image": "launcher:1", **choices})
    made = pod_manifest(found, admitted(found, arch=arch), options)
    *first, carrier, pod = yaml.safe_load_all(made.to_yaml(explain=True))
    # What stands beside the machine is printed as it stands.
    companions, claims = first[: len(made.companions)], first[len(made.companions) :]
    for claim in claims:
        check_claim(claim)
    check_carrier(carrier)
    check_pod(pod)
    assert tuple(companions) == made.companions
    assert (tuple(claims), carrier, pod) == (made.claims, made.carrier, made.pod), "YAML holds what was meant"
    return Rendered(manifest=made, carrier=carrier, pod=pod)
