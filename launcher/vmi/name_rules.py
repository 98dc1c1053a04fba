"""The admission rules of the manifest's metadata."""

from __future__ import annotations

import re
from collections.abc import Iterator

from launcher.errors import Fault
from launcher.vmi.fieldpath import child, show
from launcher.vmi.manifest import generated_name
from launcher.vmi.rules import Rule, Subject, faults_at, label_fault, subdomain_fault

ANNOTATIONS = "metadata.annotations"
LABELS = "metadata.labels"
# The most of a label's value, which the name is in the launcher's Pod.
_MAX_NAME = 63
# Kubernetes, "Labels and Selectors": syntax and character set.
_LABEL_VALUE = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)
# Annotations by which KubeVirt changes the guest (types.go and pkg/hooks); this program would ignore them in silence.
_UNSUPPORTED = {
    "hooks.kubevirt.io/hookSidecars": (
        "not supported: a sidecar would change the domain behind the launcher's back; take it out, and write what it "
        "changes into a domain template (--template)"
    ),
}
_ON_ROOT_COMPLEX = "kubevirt.io/placePCIDevicesOnRootComplex"


def _name(subject: Subject) -> Iterator[Fault]:
    metadata = subject.vmi.metadata
    if metadata.name is None:
        yield Fault("metadata.name", "missing")
    elif metadata.generate_name and metadata.name == generated_name(metadata.generate_name):
        yield from faults_at("metadata.generateName", _name_fault(metadata.name))
    else:
        yield from faults_at("metadata.name", _name_fault(metadata.name))


def _name_fault(name: str) -> str | None:
    """Say why this is no name of a machine: labels with dots between them, short enough for the Pod's own label."""
    if len(name) <= _MAX_NAME and "." in name:
        return subdomain_fault(name)
    return label_fault(name)


def _namespace(subject: Subject) -> Iterator[Fault]:
    if subject.vmi.metadata.namespace is not None:
        yield from faults_at("metadata.namespace", label_fault(subject.vmi.metadata.namespace))


def _labels(subject: Subject) -> Iterator[Fault]:
    """The launcher's Pod has them, too, and the API server would refuse it."""
    for name, value in subject.vmi.metadata.labels.items():
        path = child(LABELS, name)
        if not is_label_name(name):
            wanted = "a name of 1 to 63 of A-Z, a-z, 0-9, -, _ and ., a prefix of a-z, 0-9, - and ."
            yield Fault(path, f"the name {show(name)} is not [prefix/]name: {wanted}")
        if not is_label_value(value):
            wanted = "at most 63 of A-Z, a-z, 0-9, -, _ and ., first and last a letter or digit"
            yield Fault(path, f"{show(value)} is not a label's value: {wanted}")


def is_label_value(text: str) -> bool:
    """Tell whether a label may have this value; "" is one."""
    return not text or _LABEL_VALUE.fullmatch(text) is not None


def is_label_name(text: str) -> bool:
    """Tell whether this is [prefix/]name as labels have it."""
    prefix, slash, name = text.rpartition("/")
    return bool(_LABEL_VALUE.fullmatch(name) and (not slash or subdomain_fault(prefix) is None))


def _annotations(subject: Subject) -> Iterator[Fault]:
    for name, advice in _UNSUPPORTED.items():
        if name in subject.vmi.metadata.annotations:
            yield Fault(child(ANNOTATIONS, name), advice)
    if subject.vmi.metadata.annotations.get(_ON_ROOT_COMPLEX) == "true":
        yield Fault(
            child(ANNOTATIONS, _ON_ROOT_COMPLEX),
            "not supported: places on the bus are libvirt's choice; take it out, and name a card or virtio disk by "
            "pciAddress, acpiIndex or serial",
        )


NAME_RULES = (
    Rule(reads=("metadata.name", "metadata.generateName"), check=_name),
    Rule(reads=("metadata.namespace",), check=_namespace),
    Rule(reads=(LABELS,), check=_labels),
    Rule(reads=(ANNOTATIONS,), check=_annotations),
)
