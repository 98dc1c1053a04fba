"""Resources that Kubernetes hands out whole: devices and huge pages, of which the request is the limit.

Source: Kubernetes' pkg/apis/core/validation (ValidateResourceRequirements) and pkg/apis/core/v1/helper.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from launcher.errors import Fault, InvalidVMI
from launcher.quantity import Quantity, parse_quantity
from launcher.vmi.fieldpath import child, show
from launcher.vmi.schema import VirtualMachineInstance

_RESOURCES = "spec.domain.resources"
# Those whose request may be less than their limit; they are counted elsewhere.
_DIVISIBLE = ("cpu", "memory", "ephemeral-storage")
_HUGE_PAGES = "hugepages-"
# A qualified name outside of Kubernetes' own domain (IsExtendedResourceName).
_EXTENDED = re.compile(
    r"(?!requests\.)(?![^/]*kubernetes\.io/)[a-z0-9]([-a-z0-9.]{0,250}[a-z0-9])?/[A-Za-z0-9][-A-Za-z0-9_.]*"
)


def whole_resources(vmi: VirtualMachineInstance, own: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the amount of each: the most of what the launcher needs and what the manifest requests or limits.

    Raises InvalidVMI where a container can have no such resource, or no such amount.
    """
    faults = tuple(_faults(vmi))
    if faults:
        raise InvalidVMI(f"VMI {vmi.metadata.name}", faults)
    wished = vmi.spec.domain.resources
    amounts: dict[str, Quantity] = {}
    for name, text in own:
        needed = parse_quantity(text)
        amounts[name] = Quantity(amounts[name].nano + needed.nano) if name in amounts else needed
    for found in (wished.requests, wished.limits):
        for name, amount in sorted(found.items()):
            if name not in _DIVISIBLE:
                amounts[name] = max(amounts.get(name, amount), amount, key=lambda one: one.nano)
    return tuple((name, str(amount)) for name, amount in amounts.items())


def _faults(vmi: VirtualMachineInstance) -> Iterator[Fault]:
    wished = vmi.spec.domain.resources
    for field, amounts in (("requests", wished.requests), ("limits", wished.limits)):
        for name, amount in amounts.items():
            path = child(f"{_RESOURCES}.{field}", name)
            if name not in _DIVISIBLE and not name.startswith(_HUGE_PAGES) and not _EXTENDED.fullmatch(name):
                yield Fault(path, f"{show(name)} is no resource that a container can have; leave it out")
            elif name not in _DIVISIBLE and not amount.is_whole:
                yield Fault(path, f"{amount} is not a whole number, and this resource comes in whole ones")
