"""Mixed guests: which vCPUs have a CPU of their own, by an annotation in Nova's syntax; the others share what is left.

Source of the syntax: Nova's flavor extra spec `hw:cpu_dedicated_mask`, with `hw:cpu_policy=mixed`.
"""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Fault
from launcher.vmi.fieldpath import show
from launcher.vmi.guest import Topology
from launcher.vmi.realtime import parse_mask, parse_part
from launcher.vmi.rules import Rule, Subject
from launcher.vmi.schema import VirtualMachineInstance
from launcher.vmi.size import LIMITS, REQUESTS, given, topology_of

# KVM's largest (KVM_MAX_VCPUS, arch/x86/include/asm/kvm_host.h); more is a slip of the pen, and would cost memory.
MAX_VCPUS = 4096
DEDICATED_VCPUS_ANNOTATION = "virt-launcher/dedicated-vcpus"
FIELD = f"metadata.annotations['{DEDICATED_VCPUS_ANNOTATION}']"
_CPU = "spec.domain.cpu"


def parse_dedicated(mask: str, vcpus: int) -> frozenset[int]:
    """Return the vCPUs that a mask names of so many: "0-1", "0-5,^3", "^2-3" (all but these).

    Raises ValueError that quotes the part which is wrong, or where it names no vCPU or each of them.
    """
    named, negated = set[int](), set[int]()
    for part in mask.split(","):
        is_negated, cpus = parse_part(part.strip(), mask, vcpus, ranges_negated=True)
        (negated if is_negated else named).update(cpus)
    dedicated = frozenset((named or set(range(vcpus))) - negated)
    if not dedicated:
        raise ValueError(f"the mask {show(mask)} names no vCPU; wanted some of 0-{vcpus - 1}")
    if len(dedicated) == vcpus:
        raise ValueError(f"the mask {show(mask)} names every vCPU, which needs no annotation: leave it out")
    return dedicated


def shared_vcpus_of(vmi: VirtualMachineInstance, topology: Topology) -> frozenset[int]:
    """Return the vCPUs of an admitted manifest that have no CPU of their own; none where nothing is said of any."""
    mask = vmi.metadata.annotations.get(DEDICATED_VCPUS_ANNOTATION)
    if mask is None:
        return frozenset()
    return frozenset(range(topology.vcpus)) - parse_dedicated(mask, topology.vcpus)


def shared_cpus_of(vmi: VirtualMachineInstance, topology: Topology, shared: frozenset[int]) -> int:
    """Return how many CPUs the shared vCPUs have together.

    That is what limits.cpu, else requests.cpu, is more than the dedicated ones are; one where neither is said.
    """
    if not shared:
        return 0
    resources = vmi.spec.domain.resources
    cpus = given(resources.limits, "cpu") or given(resources.requests, "cpu")
    return 1 if cpus is None else max(cpus.ceil - (topology.vcpus - len(shared)), 1)


def is_mixed(vmi: VirtualMachineInstance) -> bool:
    """Tell whether the manifest names dedicated vCPUs."""
    return DEDICATED_VCPUS_ANNOTATION in vmi.metadata.annotations


def _mixed(subject: Subject) -> Iterator[Fault]:
    vmi, domain = subject.vmi, subject.vmi.spec.domain
    topology = topology_of(domain)
    if not is_mixed(vmi) or topology is None or topology.vcpus > MAX_VCPUS:
        return
    if not domain.cpu.dedicated_cpu_placement:
        yield Fault(FIELD, f"needs {_CPU}.dedicatedCpuPlacement: true")
        return
    if domain.cpu.numa is not None and domain.cpu.numa.guest_mapping_passthrough is not None:
        yield Fault(FIELD, f"not with {_CPU}.numa.guestMappingPassthrough: a vCPU that floats is on no node")
    try:
        dedicated = parse_dedicated(vmi.metadata.annotations[DEDICATED_VCPUS_ANNOTATION], topology.vcpus)
    except ValueError as error:
        yield Fault(FIELD, str(error))
        return
    yield from _divided_cores(dedicated, topology)
    yield from _realtime(subject, dedicated, topology)
    yield from _amounts(subject, dedicated, topology)


def _divided_cores(dedicated: frozenset[int], topology: Topology) -> Iterator[Fault]:
    threads = topology.threads
    for core in range(topology.vcpus // threads):
        members = range(core * threads, (core + 1) * threads)
        if 0 < len(dedicated.intersection(members)) < threads:
            yield Fault(
                FIELD,
                f"names a part of guest core {core} (vCPUs {members[0]}-{members[-1]}): a dedicated vCPU beside one "
                "that floats is not alone; name whole cores",
            )
            return


def _realtime(subject: Subject, dedicated: frozenset[int], topology: Topology) -> Iterator[Fault]:
    realtime = subject.vmi.spec.domain.cpu.realtime
    if realtime is None:
        return
    try:
        shared = sorted(parse_mask(realtime.mask, topology.vcpus) - dedicated)
    except ValueError:
        return
    if shared:
        yield Fault(FIELD, f"leaves out vCPU {shared[0]}, which is realtime ({_CPU}.realtime.mask): name it here, too")


def _amounts(subject: Subject, dedicated: frozenset[int], topology: Topology) -> Iterator[Fault]:
    resources = subject.vmi.spec.domain.resources
    for where, amounts in ((REQUESTS, resources.requests), (LIMITS, resources.limits)):
        cpus = given(amounts, "cpu")
        if cpus is not None and cpus.is_whole and not len(dedicated) < cpus.ceil <= topology.vcpus:
            yield Fault(
                f"{where}.cpu",
                f"{cpus} CPUs for {len(dedicated)} dedicated vCPUs and {topology.vcpus - len(dedicated)} that share "
                f"the rest ({FIELD}): wanted {len(dedicated) + 1} to {topology.vcpus}",
            )


MIXED_RULES = (
    Rule(
        reads=(
            FIELD,
            *(
                f"{_CPU}.{field}"
                for field in ("sockets", "cores", "threads", "dedicatedCpuPlacement", "numa", "realtime")
            ),
            f"{LIMITS}.cpu",
            f"{REQUESTS}.cpu",
        ),
        check=_mixed,
    ),
)
