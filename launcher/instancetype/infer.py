"""Infers the name of an instancetype or preference from the labels of what a volume of the machine holds.

Source: KubeVirt's pkg/instancetype/infer. The cluster's objects are those that came with the machine.
"""

from __future__ import annotations

from launcher.vmi.fieldpath import show
from launcher.vmi.manifest import DEFAULT_NAMESPACE, Document, Value, mapping_at, text_at

Inferred = tuple[str, str] | None


def infer(volume: str, field: str, document: Document) -> Inferred:
    """Return name and kind; None where what is there has no label for it.

    Raises LookupError where something on the way is not here.
    """
    search = _Search(field, document)
    volumes = mapping_at(document.root, "spec", "template", "spec").get("volumes")
    for one in volumes if isinstance(volumes, list) else ():
        if text_at(one, "name") == volume:
            return search.of_volume(mapping_at(one))
    raise LookupError(f"the machine has no volume called {show(volume)}")


class _Search:
    """Looks for the label from object to object."""

    def __init__(self, field: str, document: Document) -> None:
        self._label = f"instancetype.kubevirt.io/default-{field}"
        self._document = document
        self._namespace = text_at(document.root, "metadata", "namespace") or DEFAULT_NAMESPACE

    def of_volume(self, volume: dict[str, Value]) -> Inferred:
        if claim := text_at(volume, "persistentVolumeClaim", "claimName"):
            return self._labelled("PersistentVolumeClaim", claim)
        if name := text_at(volume, "dataVolume", "name"):
            return self._of_data_volume(name)
        return None

    def _of_data_volume(self, name: str) -> Inferred:
        templates = mapping_at(self._document.root, "spec").get("dataVolumeTemplates")
        for template in templates if isinstance(templates, list) else ():
            if text_at(template, "metadata", "name") == name:
                return self._of_source(mapping_at(template, "spec"))
        found = self._object("DataVolume", name, self._namespace)
        if found is None:
            # One that was collected leaves its claim behind.
            return self._labelled("PersistentVolumeClaim", name)
        return self._labels(found) or self._of_source(mapping_at(found, "spec"))

    def _of_source(self, spec: dict[str, Value]) -> Inferred:
        for field, kind in (("pvc", "PersistentVolumeClaim"), ("snapshot", "VolumeSnapshot")):
            if source := mapping_at(spec, "source", field):
                return self._labelled(kind, text_at(source, "name"), text_at(source, "namespace"))
        reference = mapping_at(spec, "sourceRef")
        if text_at(reference, "kind") != "DataSource":
            return None
        namespace = text_at(reference, "namespace") or self._namespace
        found = self._wanted("DataSource", text_at(reference, "name"), namespace)
        return self._labels(found) or self._of_source(mapping_at(found, "spec"))

    def _labelled(self, kind: str, name: str, namespace: str = "") -> Inferred:
        return self._labels(self._wanted(kind, name, namespace or self._namespace))

    def _labels(self, root: dict[str, Value]) -> Inferred:
        labels = mapping_at(root, "metadata", "labels")
        name = text_at(labels, self._label)
        return (name, text_at(labels, f"{self._label}-kind")) if name else None

    def _wanted(self, kind: str, name: str, namespace: str) -> dict[str, Value]:
        found = self._object(kind, name, namespace)
        if found is None:
            raise LookupError(f"the {kind} {namespace}/{name}, whose labels say it, is not here")
        return found

    def _object(self, kind: str, name: str, namespace: str) -> dict[str, Value] | None:
        for one in self._document.companions:
            if (one.kind, one.name, one.namespace or self._namespace) == (kind, name, namespace):
                return one.root
        return None
