"""The admission rules of the manifest's metadata."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Fault
from launcher.vmi.fieldpath import child
from launcher.vmi.rules import Rule, Subject, faults_at, label_fault

ANNOTATIONS = "metadata.annotations"
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


def _annotations(subject: Subject) -> Iterator[Fault]:
    for name in _UNSUPPORTED:
        if name in subject.vmi.metadata.annotations:
            yield Fault(child(ANNOTATIONS, name), "not supported: KubeVirt changes the guest by it")


NAME_RULES = (
    Rule(reads=("metadata.name",), check=_name),
    Rule(reads=("metadata.namespace",), check=_namespace),
    Rule(reads=(ANNOTATIONS,), check=_annotations),
)
