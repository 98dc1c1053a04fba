"""What is wrong with the dataVolumeTemplates of a VirtualMachine; loaded only where there are some.

Source: KubeVirt's ValidateDataVolumeTemplate (pkg/storage/admitters) and the API of the containerized data importer
(kubevirt.io/containerized-data-importer-api, core/v1beta1), whose fields KubeVirt's webhook knows.
"""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Fault
from launcher.vmi.fieldpath import child, item, show
from launcher.vmi.manifest import Value, mapping_at, text_at

TEMPLATES = "spec.dataVolumeTemplates"
_TEMPLATE = ("apiVersion", "kind", "metadata", "spec", "status")
_SPEC = (
    *("source", "sourceRef", "pvc", "storage", "priorityClassName", "contentType", "checkpoints", "finalCheckpoint"),
    "preallocation",
)
_SOURCE = ("http", "s3", "gcs", "registry", "pvc", "upload", "blank", "imageio", "vddk", "snapshot")


def data_volume_faults(root: dict[str, Value]) -> Iterator[Fault]:
    """Yield the faults of each template: fields that nobody has, no name, no use, no claim or two."""
    templates = mapping_at(root, "spec").get("dataVolumeTemplates")
    if not isinstance(templates, list):
        if templates is not None:
            yield Fault(TEMPLATES, f"{show(templates)} is not a list")
        return
    used = _used_names(root)
    for index, template in enumerate(templates):
        yield from _template_faults(template, item(TEMPLATES, index), used)


def _used_names(root: dict[str, Value]) -> set[str]:
    volumes = mapping_at(root, "spec", "template", "spec").get("volumes")
    listed = volumes if isinstance(volumes, list) else []
    claims = (("dataVolume", "name"), ("persistentVolumeClaim", "claimName"))
    return {text_at(volume, *keys) for volume in listed for keys in claims}


def _template_faults(template: Value, path: str, used: set[str]) -> Iterator[Fault]:
    if not isinstance(template, dict):
        yield Fault(path, f"{show(template)} is not a mapping")
        return
    spec, name = mapping_at(template, "spec"), text_at(template, "metadata", "name")
    yield from _unknown(template, _TEMPLATE, path)
    yield from _unknown(spec, _SPEC, f"{path}.spec")
    yield from _unknown(mapping_at(spec, "source"), _SOURCE, f"{path}.spec.source")
    if not name:
        yield Fault(f"{path}.metadata.name", "missing")
    elif name not in used:
        yield Fault(f"{path}.metadata.name", f"{show(name)} is in no dataVolume of the template's volumes")
    given = [claim for claim in ("pvc", "storage") if spec.get(claim) is not None]
    if len(given) != 1:
        yield Fault(f"{path}.spec", f"{'has neither' if not given else 'has both'}; wanted pvc or storage")


def _unknown(place: dict[str, Value], names: tuple[str, ...], path: str) -> Iterator[Fault]:
    return (Fault(child(path, key), f"no such field; wanted {', '.join(names)}") for key in place if key not in names)
