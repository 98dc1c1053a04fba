"""Applies an instancetype to a machine: what both of them set is a conflict, told with its field.

Source: KubeVirt's pkg/instancetype/apply.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from launcher.instancetype.schema import VirtualMachineInstancetypeSpec
from launcher.instancetype.target import Target, below
from launcher.quantity import Quantity
from launcher.vmi.fieldpath import child
from launcher.vmi.guest import Topology
from launcher.vmi.manifest import Value, mapping_at

_CPU, _MEMORY = ("domain", "cpu"), ("domain", "memory")
_REQUESTS, _LIMITS = ("domain", "resources", "requests"), ("domain", "resources", "limits")
_TOPOLOGY = ("sockets", "cores", "threads")
# An instancetype's name of a field, and the machine's.
_CPU_FIELDS = {
    "model": "model",
    "dedicatedCPUPlacement": "dedicatedCpuPlacement",
    "isolateEmulatorThread": "isolateEmulatorThread",
    "numa": "numa",
    "realtime": "realtime",
}
_POOL = ("domain", "ioThreads", "supplementalPoolThreadCount")
# What an instancetype sets whole, and where.
_WHOLE = {
    "nodeSelector": ("nodeSelector",),
    "schedulerName": ("schedulerName",),
    "ioThreadsPolicy": ("domain", "ioThreadsPolicy"),
    "launchSecurity": ("domain", "launchSecurity"),
    "gpus": ("domain", "devices", "gpus"),
    "hostDevices": ("domain", "devices", "hostDevices"),
}


def apply_instancetype(
    raw: dict[str, Value], spec: VirtualMachineInstancetypeSpec, topology: Topology, target: Target
) -> Iterator[str]:
    """Write what the instancetype says into the machine; yield the path of each field that the machine sets, too.

    `raw` are the plain values of the instancetype's spec, `topology` how its vCPUs are laid out.
    """
    for part in (_apply_cpu(raw, topology, target), _apply_memory(raw, spec, target), _apply_rest(raw, target)):
        yield from part


def _apply_cpu(raw: dict[str, Value], topology: Topology, target: Target) -> Iterator[str]:
    given = mapping_at(raw, "cpu")
    taken: list[tuple[str, ...]] = [(*place, "cpu") for place in (_REQUESTS, _LIMITS) if target.has(*place, "cpu")]
    taken += [(*_CPU, name) for name in _TOPOLOGY if target.get(*_CPU, name)]
    taken += [
        (*_CPU, name)
        for own, name in _CPU_FIELDS.items()
        if given.get(own) is not None and _is_asked_for(target.get(*_CPU, name))
    ]
    yield from (target.path_of(*keys) for keys in taken)
    if taken:
        return
    for own, name in {**_CPU_FIELDS, "maxSockets": "maxSockets"}.items():
        if given.get(own) is not None:
            target.set(given[own], *_CPU, name)
    for name in _TOPOLOGY:
        target.set(getattr(topology, name), *_CPU, name)


def _is_asked_for(value: Value) -> bool:
    """Tell whether a field is set to Go: text that is not empty, a boolean that is true, a mapping even if empty."""
    return isinstance(value, dict) or bool(value)


def _apply_memory(raw: dict[str, Value], spec: VirtualMachineInstancetypeSpec, target: Target) -> Iterator[str]:
    given = mapping_at(raw, "memory")
    taken: list[tuple[str, ...]] = [
        (*place, "memory") for place in (_REQUESTS, _LIMITS) if target.has(*place, "memory")
    ]
    taken += [
        (*_MEMORY, name)
        for name in ("guest", "hugepages", "maxGuest")
        if given.get(name) is not None and target.has(*_MEMORY, name)
    ]
    yield from (target.path_of(*keys) for keys in taken)
    if taken:
        return
    for name in ("guest", "hugepages", "maxGuest"):
        target.prefer(given.get(name), *_MEMORY, name)
    if spec.memory.overcommit_percent:
        size = spec.memory.guest
        request = Quantity.of_units(_overcommitted(size.ceil, spec.memory.overcommit_percent), binary=size.binary)
        target.set(str(request), *_REQUESTS, "memory")


def _overcommitted(guest_bytes: int, percent: int) -> int:
    """Return the memory that the Pod requests, with the rounding of Go's float32."""
    part = _float32(1 - _float32(_float32(percent) / 100))
    return int(_float32(_float32(guest_bytes) * part))


def _float32(value: float) -> float:
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


def _apply_rest(raw: dict[str, Value], target: Target) -> Iterator[str]:
    places = {name: (raw.get(name), place) for name, place in _WHOLE.items()}
    places["ioThreads"] = (mapping_at(raw, "ioThreads").get(_POOL[-1]), _POOL)
    for value, place in places.values():
        if value is None or value in ("", []):
            continue
        if target.get(*place) not in (None, "", []):
            yield target.path_of(*place)
        else:
            target.set(value, *place)
    yield from _apply_annotations(mapping_at(raw, "annotations"), target)


def _apply_annotations(given: dict[str, Value], target: Target) -> Iterator[str]:
    annotations = below(target.metadata, "annotations") if given else None
    for name, value in given.items() if annotations is not None else ():
        if annotations is not None and annotations.setdefault(name, value) != value:
            yield child(f"{target.metadata_path}.annotations", name)
