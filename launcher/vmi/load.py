"""The road from a manifest to a guest: document, schema, admission, Guest, with every fault told at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from launcher.errors import Fault, InvalidVMI
from launcher.vmi.admission import admit, guest_arch
from launcher.vmi.build import guest_of
from launcher.vmi.decode import decode
from launcher.vmi.document import read_document
from launcher.vmi.fieldpath import child, item, parent, show
from launcher.vmi.guest import Guest
from launcher.vmi.manifest import Document, Value
from launcher.vmi.schema import VirtualMachine, VirtualMachineInstance

_TEMPLATE = "spec.template."
# What the instance has from the machine itself.
_MACHINES_OWN = ("metadata.name", "metadata.namespace")


class Admitted(Struct, frozen=True, kw_only=True):
    """A manifest without a fault, and the architecture of its guest (the kernel's name, such as x86_64)."""

    vmi: VirtualMachineInstance
    arch: str

    @property
    def guest(self) -> Guest:
        """The guest that the manifest asks for."""
        return guest_of(self.vmi, arch=self.arch)


def load_guest(path: str, *, arch: str = "x86_64") -> Guest:
    """Read the manifest in this file ("-": standard input) and return the guest it asks for.

    `arch` is the guest's architecture where the manifest names none. Raises InvalidVMI with every fault.
    """
    return admitted(read_document(path), arch=arch).guest


def admitted(document: Document, *, arch: str = "x86_64") -> Admitted:
    """Decode and admit a manifest; a VirtualMachine stands for the instance that its template makes.

    Raises InvalidVMI with every fault, in the document's order.
    """
    vmi, faults = _decoded_machine(document, arch) if _is_machine(document) else _decoded_instance(document, arch)
    if vmi is None or faults:
        raise InvalidVMI(document.source, _in_order(faults, document))
    return Admitted(vmi=vmi, arch=guest_arch(vmi, arch))


def _is_machine(document: Document) -> bool:
    kind = document.root.get("kind")
    if kind in ("VirtualMachineInstance", "VirtualMachine"):
        return kind == "VirtualMachine"
    found = "missing" if kind is None else f"{show(kind)} is not a kind that this program runs"
    raise InvalidVMI(document.source, [Fault("kind", f"{found}; wanted VirtualMachineInstance or VirtualMachine")])


def _decoded_instance(document: Document, arch: str) -> tuple[VirtualMachineInstance | None, tuple[Fault, ...]]:
    decoded = decode(document.root, VirtualMachineInstance)
    found = () if decoded.value is None else admit(decoded.value, arch=arch, doubtful=decoded.doubtful)
    return decoded.value, (*decoded.faults, *found)


def _decoded_machine(document: Document, arch: str) -> tuple[VirtualMachineInstance | None, tuple[Fault, ...]]:
    decoded = decode(document.root, VirtualMachine)
    if decoded.value is None:
        return None, decoded.faults
    vmi = _instance_of(decoded.value)
    doubtful = [path.removeprefix(_TEMPLATE) for path in decoded.doubtful]
    found = (Fault(_path_in_machine(fault.path), fault.message) for fault in admit(vmi, arch=arch, doubtful=doubtful))
    return vmi, (*decoded.faults, *found)


def _instance_of(machine: VirtualMachine) -> VirtualMachineInstance:
    """Return what the template makes: its labels, annotations and spec under the machine's own name and namespace."""
    own, template = machine.metadata, machine.spec.template
    metadata = replace(template.metadata, name=own.name, namespace=own.namespace, generate_name=own.generate_name)
    return VirtualMachineInstance(
        api_version="kubevirt.io/v1", kind="VirtualMachineInstance", metadata=metadata, spec=template.spec
    )


def _path_in_machine(path: str) -> str:
    return path if path in _MACHINES_OWN else f"{_TEMPLATE}{path}"


def _in_order(faults: Iterable[Fault], document: Document) -> list[Fault]:
    """Sort faults by where they lie in the document: a missing field where it is missed, what has no path last."""
    places = {path: index for index, path in enumerate(_paths(document.root, ""))}
    return sorted(dict.fromkeys(faults), key=lambda fault: _place(fault.path, places))


def _place(path: str, places: dict[str, int]) -> float:
    if not path:
        return math.inf
    while path and path not in places:
        path = parent(path)
    return places.get(path, -1)


def _paths(value: Value, path: str) -> Iterator[str]:
    """Yield the path of every value below this one, in the document's order."""
    if isinstance(value, dict):
        below = [(child(path, key), inner) for key, inner in value.items()]
    elif isinstance(value, list):
        below = [(item(path, index), inner) for index, inner in enumerate(value)]
    else:
        return
    for inner_path, inner in below:
        yield inner_path
        yield from _paths(inner, inner_path)
