"""The claims that a VirtualMachine's dataVolumeTemplates stand for, and what has to fill each of them.

CDI's controllers make these claims and fill them; without CDI somebody else does. Source: CDI's DataVolume API
(containerized-data-importer-api, core/v1beta1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from launcher.pod.part import Tree
from launcher.quantity import parse_quantity
from launcher.vmi.manifest import Value
from launcher.vmi.rules import subdomain_fault

_SOURCES = ("http", "s3", "gcs", "registry", "imageio", "vddk", "pvc", "snapshot", "upload", "blank")
# What is asked of storage where the template leaves it to CDI's StorageProfile, which only a cluster has.
_ACCESS_MODE = "ReadWriteOnce"


class Claims(Struct, frozen=True, kw_only=True):
    """The claims as Kubernetes takes them, and what is to be known of each."""

    objects: tuple[Tree, ...] = ()
    warnings: tuple[str, ...] = ()


def claims_of(root: Mapping[str, Value]) -> Claims:
    """Return the claims of this manifest's dataVolumeTemplates; those whose size nobody says are told only."""
    namespace = _mapping(root.get("metadata")).get("namespace")
    objects, warnings = [], []
    for template in _templates(root):
        claim, sentence = _claim(template, namespace if isinstance(namespace, str) else None)
        warnings.append(sentence)
        if claim is not None:
            objects.append(claim)
    return Claims(objects=tuple(objects), warnings=tuple(warnings))


def _templates(root: Mapping[str, Value]) -> Iterator[Mapping[str, Value]]:
    found = _mapping(root.get("spec")).get("dataVolumeTemplates")
    for template in found if isinstance(found, list) else []:
        if isinstance(template, dict):
            yield template


def _claim(template: Mapping[str, Value], namespace: str | None) -> tuple[Tree | None, str]:
    metadata, spec = _mapping(template.get("metadata")), _mapping(template.get("spec"))
    name = metadata.get("name")
    if not isinstance(name, str) or subdomain_fault(name) is not None:
        return None, "a dataVolumeTemplate has no name that a claim can have; the guest's volumes cannot refer to it"
    wished = _mapping(spec.get("storage") or spec.get("pvc"))
    told = f"dataVolumeTemplate {name}: nothing here makes or fills it"
    content = _content(_mapping(spec.get("source")), _mapping(spec.get("sourceRef")))
    size = _mapping(_mapping(wished.get("resources")).get("requests")).get("storage")
    if not _is_quantity(size):
        return None, f"{told}; its size is not known here, so `pod` prints no claim: make one called {name}, {content}"
    metadata_of_claim: Tree = {"name": name, **({} if namespace is None else {"namespace": namespace})}
    for field in ("labels", "annotations"):
        if _mapping(metadata.get(field)):
            metadata_of_claim[field] = dict(_mapping(metadata[field]))
    claim: Tree = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata_of_claim,
        "spec": _claim_spec(wished, size),
    }
    mode = "" if wished.get("accessModes") else f" with the access mode {_ACCESS_MODE}, which CDI would ask its profile"
    return claim, f"{told}; `pod` prints its claim{mode}, {content}"


def _claim_spec(wished: Mapping[str, Value], size: Value) -> Tree:
    optional = {
        field: wished[field]
        for field in ("storageClassName", "volumeMode", "selector", "volumeName", "dataSource", "dataSourceRef")
        if wished.get(field) not in (None, {}, "")
    }
    modes = wished.get("accessModes") or [_ACCESS_MODE]
    return {"accessModes": modes, "resources": {"requests": {"storage": str(size)}}, **optional}


def _content(source: Mapping[str, Value], reference: Mapping[str, Value]) -> str:
    """Say what has to be in the claim before the Pod starts."""
    if reference:
        return f"and fill it with what the {reference.get('kind', 'DataSource')} {reference.get('name', '')} stands for"
    kind = next((kind for kind in _SOURCES if kind in source), None)
    details = _mapping(source.get(kind or ""))
    match kind:
        case None:
            return "and fill it: as a file system with a raw image disk.img, as a block device with the image itself"
        case "blank":
            return "and make an empty raw disk.img of that size in it (a block device needs nothing)"
        case "pvc" | "snapshot":
            place = "/".join(str(details[field]) for field in ("namespace", "name") if details.get(field))
            return f"and fill it with a copy of the {kind} {place}"
        case "upload":
            return "and upload its image"
        case _:
            url = details.get("url") or details.get("imageStream") or ""
            return f"and fill it with the image of {url}, made raw, as disk.img or on the block device"


def _is_quantity(value: Value) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    try:
        return parse_quantity(value).ceil > 0
    except ValueError:
        return False


def _mapping(value: Value) -> Mapping[str, Value]:
    return value if isinstance(value, dict) else {}
