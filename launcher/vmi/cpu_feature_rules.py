"""The admission rules of the CPU's features and of a model that depends on the architecture."""

from __future__ import annotations

import re
from collections.abc import Iterator

from launcher.errors import Fault
from launcher.vmi.fieldpath import item, show
from launcher.vmi.rules import Rule, Subject, repeated

_MODEL = "spec.domain.cpu.model"
_FEATURES = "spec.domain.cpu.features"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}", re.ASCII)


def _names(subject: Subject) -> Iterator[Fault]:
    names = [feature.name for feature in subject.vmi.spec.domain.cpu.features]
    for index, name in enumerate(names):
        if not _NAME.fullmatch(name):
            yield Fault(f"{item(_FEATURES, index)}.name", f"{show(name)} is not the name of a CPU feature such as vmx")
    for index, first in repeated(names):
        yield Fault(
            f"{item(_FEATURES, index)}.name", f"{show(names[index])} is the feature of {item(_FEATURES, first)}, too"
        )


def _host_model(subject: Subject) -> Iterator[Fault]:
    if subject.arch == "aarch64" and subject.vmi.spec.domain.cpu.model == "host-model":
        yield Fault(_MODEL, "libvirt has no host-model for arm64; wanted host-passthrough or the name of a CPU model")


CPU_FEATURE_RULES = (
    Rule(reads=(f"{_FEATURES}[].name",), check=_names),
    Rule(reads=(_MODEL, "spec.architecture"), check=_host_model),
)
