"""The admission rules of ranges of ports that are forwarded into the guest.

Source: KubeVirt's pkg/network/admitter/netiface.go (validatePortRangesConfiguration).
"""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Fault
from launcher.vmi.fieldpath import item
from launcher.vmi.rules import Rule, Subject
from launcher.vmi.schema_machine import Interface

_INTERFACES = "spec.domain.devices.interfaces"
_MOST_RANGES = 10
# QEMU's user networking has a socket of its own for each port, and is told of one at a time.
_MOST_PORTS = 1024


def _ranges(subject: Subject) -> Iterator[Fault]:
    for index, interface in enumerate(subject.vmi.spec.domain.devices.interfaces):
        if interface.port_ranges:
            yield from _of_card(interface, f"{item(_INTERFACES, index)}.portRanges")


def _of_card(interface: Interface, path: str) -> Iterator[Fault]:
    ranges = interface.port_ranges
    if interface.ports:
        yield Fault(path, "has ports beside it; wanted one of them")
    if interface.masquerade is None:
        yield Fault(path, "only masquerade has ranges of ports; wanted ports")
    if len(ranges) > _MOST_RANGES:
        yield Fault(path, f"{len(ranges)} ranges; wanted at most {_MOST_RANGES}")
    for index, one in enumerate(ranges):
        if one.start > one.end:
            yield Fault(f"{path}[{index}].start", f"{one.start} is more than end, {one.end}")
        for before, other in enumerate(ranges[:index]):
            if one.protocol == other.protocol and one.start <= other.end and other.start <= one.end:
                yield Fault(f"{path}[{index}]", f"overlaps with portRanges[{before}]")
    total = sum(max(0, one.end - one.start + 1) for one in ranges)
    if total > _MOST_PORTS:
        yield Fault(path, f"{total} ports; wanted at most {_MOST_PORTS}, or no ports, for passt forwards all then")


PORT_RANGE_RULES = (Rule(reads=(_INTERFACES,), check=_ranges),)
