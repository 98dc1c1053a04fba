"""The road from a manifest to a guest: document, schema, admission, Guest, with every fault told at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from launcher.errors import Fault, InvalidVMI
from launcher.vmi.admission import admit, guest_arch
from launcher.vmi.build import guest_of
from launcher.vmi.decode import Decoded, decode
from launcher.vmi.defaults import with_defaults
from launcher.vmi.document import read_document
from launcher.vmi.fieldpath import child, item, parent, show
from launcher.vmi.guest import Guest
from launcher.vmi.identity import with_serial
from launcher.vmi.manifest import Choice, Document, Value, generated_name, mapping_at
from launcher.vmi.schema import ObjectMeta, VirtualMachine, VirtualMachineInstance

_NO_CHOICE = Choice()
_TEMPLATE = "spec.template."
# KubeVirt serves both, with one schema (kubevirt.io/api/core/v1, ApiSupportedVersions).
_VERSIONS = ("kubevirt.io/v1", "kubevirt.io/v1alpha3")
# What the instance has from the machine itself.
_MACHINES_OWN = ("metadata.name", "metadata.namespace", "metadata.generateName")

# The fields of a VirtualMachine that are applied to its template.
_REFERENCES = ("instancetype", "preference")
# What Go writes as null where it is not set.
_MAY_BE_NULL = (".metadata.creationTimestamp", ".status")


class Admitted(Struct, frozen=True, kw_only=True):
    """A manifest without a fault, and the architecture of its guest (the kernel's name, such as x86_64).

    `root` is the manifest with its instancetype and preference written into it.
    """

    vmi: VirtualMachineInstance
    arch: str
    root: dict[str, Value] = field(default_factory=dict)
    document: Document | None = None

    @property
    def guest(self) -> Guest:
        """The guest that the manifest asks for."""
        guest = guest_of(self.vmi, arch=self.arch)
        if self.document is None or not self.document.companions:
            return guest
        # Most machines come alone.
        from launcher.vmi.beside import with_beside  # noqa: PLC0415
        from launcher.vmi.network_definitions import with_resources  # noqa: PLC0415

        return with_beside(with_resources(guest, self.document), self.document)


def load_guest(path: str, choice: Choice = _NO_CHOICE, *, arch: str = "x86_64") -> Guest:
    """Read the manifest in this file ("-": standard input) and return the guest it asks for.

    `arch` is the guest's architecture where the manifest names none. Raises InvalidVMI with every fault.
    """
    return admitted(read_document(path, choice), arch=arch).guest


def admitted(document: Document, *, arch: str = "x86_64") -> Admitted:
    """Decode and admit a manifest; a VirtualMachine stands for the instance that its template makes.

    Raises InvalidVMI with every fault, in the document's order.
    """
    decoded_as = _decoded_machine if _is_machine(document) else _decoded_instance
    root, of_expansion, doubtful = _expanded(document, arch)
    vmi, found = decoded_as(root | {"apiVersion": _VERSIONS[0]}, arch, doubtful)
    faults = (*_version_faults(document.root.get("apiVersion")), *of_expansion, *found, *_claim_faults(document.root))
    faults = (*faults, *_null_faults(document.root, {fault.path for fault in faults}))
    if vmi is None or faults:
        raise _refusal(document, faults)
    return Admitted(vmi=vmi, arch=guest_arch(vmi, arch), root=_without_references(root), document=document)


_Expanded: TypeAlias = tuple[dict[str, Value], tuple[Fault, ...], tuple[str, ...]]


def _expanded(document: Document, arch: str) -> _Expanded:
    """Return the machine as its instancetype and preference make it, their faults, and what is not known therefore."""
    spec = mapping_at(document.root, "spec")
    is_asked = any(spec.get(name) is not None for name in _REFERENCES)
    if not is_asked and not any(one.given_as for one in document.companions):
        return document.root, (), ()
    # Most machines have neither.
    from launcher.instancetype.expand import expand  # noqa: PLC0415

    expansion = expand(document, arch)
    return expansion.document.root, expansion.faults, expansion.doubtful


def _claim_faults(root: dict[str, Value]) -> Iterator[Fault]:
    if root.get("kind") == "VirtualMachine" and mapping_at(root, "spec").get("dataVolumeTemplates") is not None:
        # Not every machine has them.
        from launcher.vmi.data_volume_rules import data_volume_faults  # noqa: PLC0415

        yield from data_volume_faults(root)


def _without_references(root: dict[str, Value]) -> dict[str, Value]:
    spec = mapping_at(root, "spec")
    if not any(name in spec for name in _REFERENCES):
        return root
    return root | {"spec": {name: value for name, value in spec.items() if name not in _REFERENCES}}


def _null_faults(root: dict[str, Value], told: set[str]) -> Iterator[Fault]:
    """Yield a fault for each null of the spec that is not told of already: KubeVirt's webhooks refuse them all."""
    for path, value in _values(root.get("spec"), "spec"):
        if value is None and path not in told and not path.endswith(_MAY_BE_NULL):
            yield Fault(path, "null; leave it out, or say what it is")


def _refusal(document: Document, faults: Iterable[Fault]) -> InvalidVMI:
    # Only for what is refused.
    from launcher.vmi.templates import templates_apart  # noqa: PLC0415

    ordered = _in_order(faults, document)
    values = dict(_values(document.root, ""))
    return InvalidVMI(document.source, templates_apart(ordered, [values.get(fault.path) for fault in ordered]))


def _is_machine(document: Document) -> bool:
    kind = document.root.get("kind")
    if kind in ("VirtualMachineInstance", "VirtualMachine"):
        return kind == "VirtualMachine"
    raise InvalidVMI(document.source, [Fault("kind", _why_no_machine(kind))])


def _why_no_machine(kind: Value) -> str:
    # Most manifests are machines.
    from launcher.vmi.other_kinds import advice_on  # noqa: PLC0415

    if (advice := advice_on(kind)) is not None:
        return f"a {kind} {advice}"
    found = "missing" if kind is None else f"{show(kind)} is not a kind that this program runs"
    return f"{found}; wanted VirtualMachineInstance or VirtualMachine"


def _version_faults(version: Value) -> Iterator[Fault]:
    """Yield what is wrong with the apiVersion; what else is wrong does not depend on it."""
    if version not in _VERSIONS:
        found = "missing; wanted" if version is None else f"{show(version)} is not"
        yield Fault("apiVersion", f"{found} {' or '.join(_VERSIONS)}")


_DecodedVMI: TypeAlias = tuple[VirtualMachineInstance | None, tuple[Fault, ...]]


def _decoded_instance(root: dict[str, Value], arch: str, doubtful: tuple[str, ...]) -> _DecodedVMI:
    decoded = decode(root, VirtualMachineInstance)
    if decoded.value is None:
        return None, decoded.faults
    vmi = with_defaults(replace(decoded.value, metadata=_named(decoded.value.metadata)))
    return vmi, (*decoded.faults, *admit(vmi, arch=arch, doubtful=(*decoded.doubtful, *doubtful)))


def _decoded_machine(root: dict[str, Value], arch: str, doubtful: tuple[str, ...]) -> _DecodedVMI:
    decoded = decode(root, VirtualMachine)
    if decoded.value is None:
        return None, decoded.faults
    vmi = with_defaults(_instance_of(decoded.value))
    doubts = (*(path.removeprefix(_TEMPLATE) for path in decoded.doubtful), *doubtful)
    found = (Fault(_path_in_machine(fault.path), fault.message) for fault in admit(vmi, arch=arch, doubtful=doubts))
    return vmi, (*decoded.faults, *_run_faults(decoded), *found)


def _run_faults(decoded: Decoded[VirtualMachine]) -> Iterator[Fault]:
    """Yield what is wrong with when the machine runs: KubeVirt wants to know it, though no launcher acts on it.

    Source: validateRunStrategy of pkg/virt-api/webhooks/validating-webhook/admitters/vms-admitter.go.
    """
    if decoded.value is None or decoded.doubtful & {"spec.running", "spec.runStrategy"}:
        return
    spec = decoded.value.spec
    if spec.running is not None and spec.run_strategy is not None:
        yield Fault("spec.running", "excludes spec.runStrategy; take running out, which is deprecated")
    elif spec.running is None and spec.run_strategy is None:
        yield Fault("spec.running", "missing, and spec.runStrategy too; wanted runStrategy, such as Always or Halted")


def _instance_of(machine: VirtualMachine) -> VirtualMachineInstance:
    """Return what the template makes: its labels, annotations and spec under the machine's own name and namespace."""
    own, template = _named(machine.metadata), machine.spec.template
    spec = template.spec if own.name is None else with_serial(template.spec, own.name)
    metadata = replace(template.metadata, name=own.name, namespace=own.namespace, generate_name=own.generate_name)
    return VirtualMachineInstance(
        api_version="kubevirt.io/v1", kind="VirtualMachineInstance", metadata=metadata, spec=spec
    )


def _named(metadata: ObjectMeta) -> ObjectMeta:
    """Give the object the name that stands for its generateName, where it has no other."""
    if metadata.name or not metadata.generate_name:
        return metadata
    return replace(metadata, name=generated_name(metadata.generate_name))


def _path_in_machine(path: str) -> str:
    return path if path in _MACHINES_OWN else f"{_TEMPLATE}{path}"


def _in_order(faults: Iterable[Fault], document: Document) -> list[Fault]:
    """Sort faults by where they lie in the document: a missing field where it is missed, what has no path last."""
    places = {path: index for index, (path, _) in enumerate(_values(document.root, ""))}
    return sorted(dict.fromkeys(faults), key=lambda fault: _place(fault.path, places))


def _place(path: str, places: dict[str, int]) -> float:
    if not path:
        return math.inf
    while path and path not in places:
        path = parent(path)
    return places.get(path, -1)


def _values(value: Value, path: str) -> Iterator[tuple[str, Value]]:
    """Yield every value below this one with its path, in the document's order."""
    if isinstance(value, dict):
        below = [(child(path, key), inner) for key, inner in value.items()]
    elif isinstance(value, list):
        below = [(item(path, index), inner) for index, inner in enumerate(value)]
    else:
        return
    for inner_path, inner in below:
        yield inner_path, inner
        yield from _values(inner, inner_path)
