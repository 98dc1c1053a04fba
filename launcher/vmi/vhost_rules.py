"""The annotation that asks for CPUs of vhost's own, as a manifest has it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from launcher.errors import Fault
from launcher.vmi.fieldpath import show
from launcher.vmi.rules import Rule, Subject
from launcher.vmi.schema import VirtualMachineInstance
from launcher.vmi.vhost import VHOST_ANNOTATION, VHOST_FIELD

_DEDICATED = "spec.domain.cpu.dedicatedCpuPlacement"
_COUNT = re.compile(r"\d{1,3}", re.ASCII)


def vhost_cpus_of(vmi: VirtualMachineInstance) -> int:
    """Return how many CPUs an admitted manifest wants for vhost's threads alone."""
    return int(vmi.metadata.annotations.get(VHOST_ANNOTATION, "0"))


def _vhost(subject: Subject) -> Iterator[Fault]:
    asked = subject.vmi.metadata.annotations.get(VHOST_ANNOTATION)
    if asked is None:
        return
    if not _COUNT.fullmatch(asked):
        yield Fault(VHOST_FIELD, f"{show(asked)} is not a number of CPUs from 0 to 999")
    elif int(asked) and not subject.vmi.spec.domain.cpu.dedicated_cpu_placement:
        yield Fault(VHOST_FIELD, f"needs {_DEDICATED}: true")


VHOST_RULES = (Rule(reads=(VHOST_FIELD, _DEDICATED), check=_vhost),)
