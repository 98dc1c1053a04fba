"""What a driver of Dynamic Resource Allocation tells of the devices behind a claim: its metadata files.

Source: KEP-5304 and k8s.io/dynamic-resource-allocation (metadata.resource.k8s.io/v1alpha1): a JSON file for each
request and driver below /var/run/kubernetes.io/dra-device-attributes,
`resourceclaims/CLAIM/REQUEST/DRIVER-metadata.json` or, for a claim made from a template,
`resourceclaimtemplates/PODCLAIM/REQUEST/DRIVER-metadata.json`. An older form lies in
/var/run/dra-device-attributes/CLAIM/REQUEST/. A device with a mediated device's UUID is that, whatever its parent is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from msgspec import Struct

from launcher.errors import HostError
from launcher.host.tree import Tree
from launcher.vmi.guest_devices import ClaimSource

_FOLDER = "var/run/kubernetes.io/dra-device-attributes"
_OLDER_FOLDER = "var/run/dra-device-attributes"
_FILE_END = "-metadata.json"
_API_VERSION = "metadata.resource.k8s.io/v1alpha1"
_PCI_ATTRIBUTE = "resource.kubernetes.io/pciBusID"
_MEDIATED_ATTRIBUTE = "mdevUUID"
# What a message quotes of a file's text.
_SHOWN = 40


class Claimed(Struct, frozen=True, kw_only=True):
    """The device behind a claim's request: a mediated device's UUID, else a PCI address, and the file that tells it."""

    source: str
    pci: str = ""
    mediated: str = ""


def read_claimed(claim: ClaimSource, path: str, tree: Tree | None) -> Claimed:
    """Return the device of a claim's request; `path` is the field that asks for it.

    Raises HostError where no file tells it, or one that is not of the form known, and where it names several devices.
    """
    folders = _folders(claim)
    files = [] if tree is None else [file for folder in folders for file in _files(tree, folder)]
    if tree is None or not files:
        where = folders[0] if tree is None else tree.where(folders[0])
        raise HostError(
            f"{path}: no device of request {claim.request} of claim {claim.claim}: its driver tells it in "
            f"{where}/DRIVER{_FILE_END}, and there is none"
        )
    devices = [device for file in files for device in _devices(tree, file, claim)]
    if len(devices) != 1:
        found = f"{len(devices)} devices of request {claim.request}"
        raise HostError(f"{path}: {tree.where(files[0])}: {found}; wanted one with {_PCI_ATTRIBUTE} or an mdevUUID")
    return devices[0]


def is_claim_told(claim: ClaimSource, tree: Tree | None) -> bool:
    """Tell whether a driver has written anything of this claim's request."""
    return tree is not None and any(_files(tree, folder) for folder in _folders(claim))


def _folders(claim: ClaimSource) -> tuple[str, ...]:
    kind, name = ("resourceclaimtemplates", claim.claim) if claim.is_template else ("resourceclaims", claim.object_name)
    older = claim.claim if claim.is_template else claim.object_name
    return (f"{_FOLDER}/{kind}/{name}/{claim.request}", f"{_OLDER_FOLDER}/{older}/{claim.request}")


def _files(tree: Tree, folder: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in tree.list(folder) if name.endswith(_FILE_END))


def _devices(tree: Tree, file: str, claim: ClaimSource) -> Iterator[Claimed]:
    where = tree.where(file)
    for request in _listed(_known_document(tree.read(file) or "", where), "requests"):
        # A request with alternatives is named REQUEST/ALTERNATIVE.
        if str(request.get("name", "")).partition("/")[0] == claim.request:
            yield from (_claimed(device, where) for device in _listed(request, "devices"))


def _known_document(text: str, where: str) -> Mapping[str, object]:
    """Return the first document of the version that is known here."""
    versions = []
    for document in _documents(text, where):
        if document.get("apiVersion") == _API_VERSION:
            return document
        versions.append(str(document.get("apiVersion"))[:_SHOWN])
    raise HostError(f"{where}: holds {', '.join(map(repr, versions)) or 'nothing'}; wanted {_API_VERSION}")


def _documents(text: str, where: str) -> Iterator[Mapping[str, object]]:
    """Yield the JSON objects of a file: the same metadata may stand there in several versions, one after the other."""
    decoder, rest = json.JSONDecoder(), text.strip()
    while rest:
        try:
            document, end = decoder.raw_decode(rest)
        except (ValueError, RecursionError) as error:
            raise HostError(f"{where}: not JSON: {error}") from error
        if not isinstance(document, dict):
            raise HostError(f"{where}: not a JSON object; wanted {_API_VERSION}")
        yield document
        rest = rest[end:].strip()


def _listed(document: Mapping[str, object], field: str) -> Iterator[Mapping[str, object]]:
    entries = document.get(field)
    return (entry for entry in entries if isinstance(entry, dict)) if isinstance(entries, list) else iter(())


def _claimed(device: Mapping[str, object], where: str) -> Claimed:
    pci, mediated = (_text(device.get("attributes"), name) for name in (_PCI_ATTRIBUTE, _MEDIATED_ATTRIBUTE))
    if not pci and not mediated:
        name = str(device.get("name"))[:_SHOWN]
        raise HostError(f"{where}: device {name!r} has neither {_PCI_ATTRIBUTE} nor an mdevUUID")
    return Claimed(source=where, pci=pci, mediated=mediated)


def _text(attributes: object, name: str) -> str:
    """Return an attribute's text; "" where there is none. Qualified names may stand without or with their domain."""
    if not isinstance(attributes, dict):
        return ""
    value = attributes.get(name, attributes.get(name.rpartition("/")[2]))
    text = value.get("string") if isinstance(value, dict) else None
    return text if isinstance(text, str) else ""
