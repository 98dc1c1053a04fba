"""The admission rules of the guest's memory and of the resources it asks of Kubernetes.

Source: KubeVirt's admission webhook, pkg/virt-api/webhooks/validating-webhook/admitters/vmi-create-admitter.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Fault
from launcher.quantity import Quantity
from launcher.vmi.fieldpath import child, show
from launcher.vmi.rules import Rule, Subject
from launcher.vmi.size import LIMITS, PAGE_SIZE, REQUESTS, memory_of

MIN_GUEST = Quantity.of_units(10**6)
# 52 bits, the widest physical address of x86 and arm64; libvirt refuses what no longer fits its counter of KiB.
MAX_GUEST = Quantity.of_units(1 << 52, binary=True)
# The smallest huge page that Linux has: 64Ki on arm64.
MIN_HUGE_PAGE = Quantity.of_units(1 << 16, binary=True)

GUEST = "spec.domain.memory.guest"
MAX_GUEST_MEMORY = "spec.domain.memory.maxGuest"
# Resources without a slash in their name that Kubernetes knows (beside hugepages-<size>); others belong to a vendor.
_RESOURCES = ("cpu", "memory", "ephemeral-storage")


def _size(subject: Subject) -> Iterator[Fault]:
    size = memory_of(subject.vmi.spec.domain)
    if size is None:
        yield Fault(GUEST, f"missing; give it here, or as {REQUESTS}.memory or {LIMITS}.memory")
    elif size.quantity < MIN_GUEST:
        yield Fault(size.path, f"{size.quantity} is less than {MIN_GUEST}, the least memory of a guest")
    elif size.quantity > MAX_GUEST:
        yield Fault(size.path, f"{size.quantity} is more than {MAX_GUEST}, the most that a machine can address")


def _max_guest(subject: Subject) -> Iterator[Fault]:
    memory = subject.vmi.spec.domain.memory
    if memory.guest is not None and memory.max_guest is not None and memory.guest > memory.max_guest:
        yield Fault(GUEST, f"{memory.guest} is more than {MAX_GUEST_MEMORY}, {memory.max_guest}")


def _huge_pages(subject: Subject) -> Iterator[Fault]:
    domain = subject.vmi.spec.domain
    if domain.memory.hugepages is None:
        return
    page, size = domain.memory.hugepages.page_size, memory_of(domain)
    if page < MIN_HUGE_PAGE or page > MAX_GUEST or page.ceil.bit_count() != 1 or not page.is_whole:
        yield Fault(PAGE_SIZE, f"{page} is not a power of two from {MIN_HUGE_PAGE} on, such as 2Mi or 1Gi")
    elif size is not None and size.quantity >= MIN_GUEST and size.quantity.nano % page.nano:
        yield Fault(size.path, f"{size.quantity} is not a multiple of {PAGE_SIZE}, {page}")


def _resource_names(subject: Subject) -> Iterator[Fault]:
    resources = subject.vmi.spec.domain.resources
    for where, amounts in ((REQUESTS, resources.requests), (LIMITS, resources.limits)):
        for name in amounts:
            if name not in _RESOURCES and not name.startswith("hugepages-") and "/" not in name:
                wanted = f"wanted {', '.join(_RESOURCES)}, hugepages-<size> or <vendor>/<name>"
                yield Fault(child(where, name), f"{show(name)} is not a resource that Kubernetes has; {wanted}")


MEMORY_RULES = (
    Rule(reads=("spec.domain.memory", f"{LIMITS}.memory", f"{REQUESTS}.memory"), check=_size),
    Rule(reads=(GUEST, MAX_GUEST_MEMORY), check=_max_guest),
    Rule(reads=("spec.domain.memory", f"{LIMITS}.memory", f"{REQUESTS}.memory"), check=_huge_pages),
    Rule(reads=(), check=_resource_names),
)
