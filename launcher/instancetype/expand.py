"""Expands a machine: its instancetype and preference written into it, as `virtctl expand` does.

Loaded only for a machine that has one of them.
"""

from __future__ import annotations

from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from launcher.errors import Fault
from launcher.instancetype.additions import add_devices
from launcher.instancetype.apply import apply_instancetype
from launcher.instancetype.find import INSTANCETYPE, PREFERENCE, NotFound, Sort, find
from launcher.instancetype.prefer import apply_preference, prefer_autoattach
from launcher.instancetype.requirements import requirement_faults
from launcher.instancetype.schema import (
    Across,
    CPUTopology,
    VirtualMachineInstancetype,
    VirtualMachineInstancetypeSpec,
    VirtualMachinePreference,
    VirtualMachinePreferenceSpec,
)
from launcher.instancetype.target import Target, below, copied
from launcher.instancetype.topology import laid_out, preferred_topology, spread_of
from launcher.vmi.decode import Decoded, decode
from launcher.vmi.manifest import Companion, Document, Value, mapping_at
from launcher.vmi.volume_rules import unused_volumes

S = TypeVar("S", VirtualMachineInstancetype, VirtualMachinePreference)

# What nobody knows of a machine whose instancetype, or preference, is not here.
_OF_INSTANCETYPE = tuple(
    f"spec.domain.{path}"
    for path in (
        *(f"cpu.{name}" for name in ("sockets", "cores", "threads", "dedicatedCpuPlacement", "isolateEmulatorThread")),
        *("cpu.numa", "cpu.realtime", "memory.guest", "memory.hugepages", "ioThreadsPolicy"),
    )
)
_OF_PREFERENCE = tuple(f"spec.domain.{name}" for name in ("features", "firmware", "devices", "machine", "clock"))


class Expansion(Struct, frozen=True, kw_only=True):
    """The machine as it is with both of them, the faults of that, and what of the instance nobody knows therefore."""

    document: Document
    faults: tuple[Fault, ...] = ()
    doubtful: tuple[str, ...] = ()


class _Progress(Struct, kw_only=True):
    """What was found to be wrong so far."""

    faults: list[Fault]
    doubtful: list[str]

    def refuse(self, path: str, message: str, doubtful: tuple[str, ...] = ()) -> None:
        self.faults.append(Fault(path, message))
        self.doubtful.extend(doubtful)


def expand(document: Document, arch: str) -> Expansion:
    """Apply what the machine names, or the options give; `arch` is the kernel's name of the architecture by default."""
    root, progress = copied(document.root), _Progress(faults=[], doubtful=[])
    target = _target(root) if isinstance(root, dict) else None
    if target is None or not isinstance(root, dict):
        # Decoding tells what is wrong.
        return Expansion(document=document)
    instancetype = _found(INSTANCETYPE, document, VirtualMachineInstancetype, progress, _OF_INSTANCETYPE)
    preference = _found(PREFERENCE, document, VirtualMachinePreference, progress, _OF_PREFERENCE)
    own = None if preference is None else preference[1].spec
    if preference is not None:
        prefer_autoattach(preference[0], target)
        unused = unused_volumes(_texts(target.metadata.get("annotations")))
        has_card = preference[1].spec.devices.preferred_interface_model is not None
        add_devices(target, unused, has_card=has_card)
    if instancetype is not None:
        _apply(instancetype[0], instancetype[1].spec, own, target, progress)
    if preference is not None:
        apply_preference(preference[0], target)
        _prefer_storage_class(preference[1].spec, root)
        sizes = None if instancetype is None else instancetype[1].spec
        progress.faults.extend(_unmet(sizes, preference[1].spec, target, arch, progress))
    expanded = replace(document, root=root)
    return Expansion(document=expanded, faults=tuple(progress.faults), doubtful=tuple(progress.doubtful))


def _target(root: dict[str, Value]) -> Target | None:
    above = ("spec", "template") if root.get("kind") == "VirtualMachine" else ()
    place = below(root, *above)
    spec = None if place is None else place.get("spec")
    metadata = None if place is None else below(place, "metadata")
    if not isinstance(spec, dict) or metadata is None:
        return None
    prefix = "".join(f"{key}." for key in above)
    return Target(spec=spec, metadata=metadata, path=f"{prefix}spec", metadata_path=f"{prefix}metadata")


def _texts(value: Value) -> dict[str, str]:
    return {name: text for name, text in mapping_at(value).items() if isinstance(text, str)}


def _found(
    sort: Sort, document: Document, wanted: type[S], progress: _Progress, doubtful: tuple[str, ...]
) -> tuple[dict[str, Value], S] | None:
    """Return the plain values of the spec that applies, and the whole decoded; None where there is none that can."""
    try:
        companion = find(sort, document)
    except NotFound as error:
        progress.refuse(error.path, str(error), doubtful)
        return None
    if companion is None:
        return None
    decoded: Decoded[S] = decode(companion.root, wanted)
    faults = [*decoded.faults, *(() if decoded.value is None else _spread_faults(decoded.value))]
    for fault in faults:
        progress.refuse(sort.path, f"{companion.source}: {fault}", doubtful)
    return None if faults or decoded.value is None else (_spec(companion), decoded.value)


def _spec(companion: Companion) -> dict[str, Value]:
    return mapping_at(companion.root, "spec")


def _spread_faults(value: VirtualMachineInstancetype | VirtualMachinePreference) -> list[Fault]:
    """Return what KubeVirt's webhooks say beyond the schema."""
    spec = value.spec
    if isinstance(spec, VirtualMachineInstancetypeSpec):
        if spec.memory.overcommit_percent and spec.memory.hugepages is not None:
            return [Fault("spec.memory.overcommitPercent", "takes no effect on huge pages; take one of the two out")]
        return []
    if preferred_topology(spec) is CPUTopology.SPREAD and spread_of(spec)[0] is Across.CORES_THREADS:
        ratio = spread_of(spec)[1]
        return [] if ratio == 2 else [Fault("spec.cpu.spreadOptions.ratio", f"{ratio}; a core has 2 threads here")]
    return []


def _apply(
    raw: dict[str, Value],
    spec: VirtualMachineInstancetypeSpec,
    preference: VirtualMachinePreferenceSpec | None,
    target: Target,
    progress: _Progress,
) -> None:
    try:
        topology = laid_out(spec.cpu.guest, preference)
    except ValueError as error:
        progress.refuse("spec.instancetype", f"{error}, as the preference wants", _OF_INSTANCETYPE)
        return
    for path in apply_instancetype(raw, spec, topology, target):
        progress.refuse(path, "the instancetype says it already; take it out here", _OF_INSTANCETYPE)


def _unmet(
    instancetype: VirtualMachineInstancetypeSpec | None,
    preference: VirtualMachinePreferenceSpec,
    target: Target,
    arch: str,
    progress: _Progress,
) -> tuple[Fault, ...]:
    """Return what the preference requires and the machine has not, unless nobody knows what the machine has."""
    if progress.doubtful:
        return ()
    return tuple(requirement_faults(instancetype, preference, target, arch))


def _prefer_storage_class(preference: VirtualMachinePreferenceSpec, root: dict[str, Value]) -> None:
    name = preference.volumes.preferred_storage_class_name
    templates = mapping_at(root, "spec").get("dataVolumeTemplates")
    for template in templates if name and isinstance(templates, list) else ():
        for place in ("pvc", "storage"):
            claim = mapping_at(template, "spec", place)
            if claim and claim.get("storageClassName") is None:
                claim["storageClassName"] = name
