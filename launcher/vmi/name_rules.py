"""The admission rules of the manifest's metadata."""

from __future__ import annotations

import re
from collections.abc import Iterator

from launcher.errors import Fault
from launcher.vmi.fieldpath import child, show
from launcher.vmi.rules import Rule, Subject, faults_at, label_fault, subdomain_fault

ANNOTATIONS = "metadata.annotations"
LABELS = "metadata.labels"
# Kubernetes, "Labels and Selectors": syntax and character set.
_LABEL_VALUE = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)
# Annotations by which KubeVirt changes the guest (types.go and pkg/hooks); this program would ignore them in silence.
_UNSUPPORTED = (
    "hooks.kubevirt.io/hookSidecars",
    "kubevirt.io/disablePCIHole64",
    "kubevirt.io/ignitiondata",
    "kubevirt.io/placePCIDevicesOnRootComplex",
)


def _name(subject: Subject) -> Iterator[Fault]:
    metadata = subject.vmi.metadata
    if metadata.name is None:
        hint = "; only the API server completes generateName" if metadata.generate_name is not None else ""
        yield Fault("metadata.name", f"missing{hint}")
    else:
        yield from faults_at("metadata.name", label_fault(metadata.name))


def _namespace(subject: Subject) -> Iterator[Fault]:
    if subject.vmi.metadata.namespace is not None:
        yield from faults_at("metadata.namespace", label_fault(subject.vmi.metadata.namespace))


def _labels(subject: Subject) -> Iterator[Fault]:
    """The launcher's Pod has them, too, and the API server would refuse it."""
    for name, value in subject.vmi.metadata.labels.items():
        path = child(LABELS, name)
        if not _is_label_name(name):
            wanted = "a name of 1 to 63 of A-Z, a-z, 0-9, -, _ and ., a prefix of a-z, 0-9, - and ."
            yield Fault(path, f"the name {show(name)} is not [prefix/]name: {wanted}")
        if value and not _LABEL_VALUE.fullmatch(value):
            wanted = "at most 63 of A-Z, a-z, 0-9, -, _ and ., first and last a letter or digit"
            yield Fault(path, f"{show(value)} is not a label's value: {wanted}")


def _is_label_name(text: str) -> bool:
    prefix, slash, name = text.rpartition("/")
    return bool(_LABEL_VALUE.fullmatch(name) and (not slash or subdomain_fault(prefix) is None))


def _annotations(subject: Subject) -> Iterator[Fault]:
    for name in _UNSUPPORTED:
        if name in subject.vmi.metadata.annotations:
            yield Fault(child(ANNOTATIONS, name), "not supported: KubeVirt changes the guest by it")


NAME_RULES = (
    Rule(reads=("metadata.name",), check=_name),
    Rule(reads=("metadata.namespace",), check=_namespace),
    Rule(reads=(LABELS,), check=_labels),
    Rule(reads=(ANNOTATIONS,), check=_annotations),
)
