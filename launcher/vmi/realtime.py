"""The realtime mask, `spec.domain.cpu.realtime.mask`: which vCPUs run under SCHED_FIFO."""

from __future__ import annotations

import re

from launcher.cpuset import CPUSet
from launcher.vmi.fieldpath import show

_PART = re.compile(r"(\^?)(\d{1,9})(?:-(\d{1,9}))?", re.ASCII)


def parse_mask(mask: str, vcpus: int) -> frozenset[int]:
    """Return the realtime vCPUs of a guest with this many vCPUs: all for "", else those named by a mask like "0-3,^2".

    A comma list of n, a-b and ^n; negation wins whatever its position; what a mask does not name is off. Raises
    ValueError that quotes the part which is wrong, or names a vCPU that does not exist. Source: KubeVirt's
    pkg/hypervisor/common/vcpu.go.
    """
    if not mask:
        return frozenset(range(vcpus))
    named = negated = CPUSet()
    for part in mask.split(","):
        is_negated, cpus = parse_part(part.strip(), mask, vcpus)
        named, negated = (named, negated | cpus) if is_negated else (named | cpus, negated)
    return frozenset(named - negated)


def parse_part(part: str, mask: str, vcpus: int, *, ranges_negated: bool = False) -> tuple[bool, CPUSet]:
    """Read one part of a mask: whether it is negated, and the vCPUs that it names; KubeVirt negates no ranges.

    Raises ValueError as `parse_mask` does.
    """
    where = f"{show(part)} in the mask {show(mask)}"
    match = _PART.fullmatch(part)
    if match is None or (match[1] and match[3] and not ranges_negated):
        raise ValueError(f"{where} is not a vCPU n, a range a-b or a negation ^n")
    first, last = int(match[2]), int(match[3] or match[2])
    if last < first:
        raise ValueError(f"{where} is a range that runs backwards")
    if last >= vcpus:
        raise ValueError(f"{where} names vCPU {last}; the guest has vCPUs 0-{vcpus - 1}")
    return bool(match[1]), CPUSet((1 << last + 1) - (1 << first))
