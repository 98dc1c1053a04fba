"""What a preference requires of a machine, checked as KubeVirt does.

Source: KubeVirt's pkg/instancetype/preference/requirements, and pkg/defaults for what a machine leaves open. A topology
of which a part is left open counts as none there, so it does here.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from launcher.errors import Fault
from launcher.instancetype.schema import (
    Across,
    CPUTopology,
    VirtualMachineInstancetypeSpec,
    VirtualMachinePreferenceSpec,
)
from launcher.instancetype.target import Target
from launcher.instancetype.topology import preferred_topology, spread_of
from launcher.quantity import Quantity, parse_quantity
from launcher.vmi.fieldpath import show
from launcher.vmi.manifest import Value

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_COUNTED = {
    CPUTopology.SOCKETS: ("sockets",),
    CPUTopology.CORES: ("cores",),
    CPUTopology.THREADS: ("threads",),
    CPUTopology.ANY: ("sockets", "cores", "threads"),
}
_SPREAD_OVER = {
    Across.SOCKETS_CORES: ("sockets", "cores"),
    Across.CORES_THREADS: ("cores", "threads"),
    Across.SOCKETS_CORES_THREADS: ("sockets", "cores", "threads"),
}


def requirement_faults(
    instancetype: VirtualMachineInstancetypeSpec | None,
    preference: VirtualMachinePreferenceSpec,
    target: Target,
    arch: str,
) -> Iterator[Fault]:
    """Yield what the machine lacks; `arch` is the kernel's name of the architecture where it names none."""
    wanted = preference.requirements
    if wanted.cpu is not None and instancetype is not None and instancetype.cpu.guest < wanted.cpu.guest:
        found = f"has {instancetype.cpu.guest} vCPUs"
        yield Fault("spec.instancetype", f"{found}; the preference requires {wanted.cpu.guest}")
    elif wanted.cpu is not None and instancetype is None:
        yield from _vcpu_faults(preference, wanted.cpu.guest, target)
    if wanted.memory is not None:
        yield from _memory_faults(instancetype, wanted.memory.guest, target)
    if wanted.architecture is not None:
        own = target.get("architecture") or _ARCHITECTURES.get(arch, arch)
        if own != wanted.architecture:
            path = target.path_of("architecture")
            yield Fault(path, f"{show(own)}; the preference requires {show(wanted.architecture)}")


def _vcpu_faults(preference: VirtualMachinePreferenceSpec, wanted: int, target: Target) -> Iterator[Fault]:
    topology = preferred_topology(preference)
    names = _SPREAD_OVER[spread_of(preference)[0]] if topology is CPUTopology.SPREAD else _COUNTED[topology]
    counts = _counts(target)
    found = prod(counts[name] for name in names)
    if found < wanted:
        where = target.path_of("domain", "cpu", *(names if len(names) == 1 else ()))
        yield Fault(where, f"{found} vCPUs as {' x '.join(names)}; the preference requires {wanted}")


def _counts(target: Target) -> dict[str, int]:
    """Return sockets, cores and threads, with the resources as sockets where none of the three is given."""
    given = {name: _count(target.get("domain", "cpu", name)) for name in ("sockets", "cores", "threads")}
    if any(given.values()):
        return given
    asked = [_quantity(target.get("domain", "resources", place, "cpu")) for place in ("limits", "requests")]
    sockets = next((amount.ceil for amount in asked if amount is not None), 1)
    return {"sockets": sockets, "cores": 1, "threads": 1}


def _count(value: Value) -> int:
    return value if isinstance(value, int) else 0


def _quantity(value: Value) -> Quantity | None:
    """Return the amount; None where there is none, or what is no amount, of which decoding tells."""
    try:
        return None if value is None or not isinstance(value, int | float | str) else parse_quantity(value)
    except ValueError:
        return None


def _memory_faults(
    instancetype: VirtualMachineInstancetypeSpec | None, wanted: Quantity, target: Target
) -> Iterator[Fault]:
    places = (("memory", "guest"), ("resources", "requests", "memory"), ("resources", "limits", "memory"))
    asked = [_quantity(target.get("domain", *place)) for place in (*places, ("memory", "hugepages", "pageSize"))]
    found = next((amount for amount in asked if amount), Quantity())
    if found < wanted:
        where = target.path_of("domain", "memory") if instancetype is None else "spec.instancetype"
        yield Fault(where, f"{found} of memory; the preference requires {wanted}")
