"""Which virtual function is on which network: what Multus writes on the Pod, as the kubelet brings it in.

Source: the Network Plumbing Working Group's k8s.v1.cni.cncf.io/network-status (v1.3, section 4) and its device
information specification; KubeVirt's pkg/network/downwardapi reads the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from launcher.errors import HostError

# Where `virt-launcher pod` has the kubelet put the annotation, and what KubeVirt calls the folder.
FOLDER = "etc/podinfo"
FILE = f"{FOLDER}/network-status"
ANNOTATION = "k8s.v1.cni.cncf.io/network-status"


class FunctionUntold(HostError):
    """Nothing tells a virtual function, or which of several it is; Multus may not have written it yet."""


def function_of(text: str, devices: tuple[str, ...], where: str) -> str | None:
    """Return the PCI address of the network whose device in the Pod has one of these names; None where none is told.

    Raises HostError, with the file, where the text is not what Multus writes.
    """
    for entry in _entries(text, where):
        if entry.get("interface") in devices:
            return _address(entry)
    return None


def _entries(text: str, where: str) -> Iterator[Mapping[str, object]]:
    """Yield the networks; before Multus is done the file is empty."""
    if not text.strip():
        return
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HostError(f"{where}: not JSON: {error}; wanted the annotation {ANNOTATION}") from error
    if not isinstance(found, list):
        raise HostError(f"{where}: not a list; wanted the annotation {ANNOTATION}")
    yield from (entry for entry in found if isinstance(entry, dict))


def _address(entry: Mapping[str, object]) -> str | None:
    info = entry.get("device-info")
    pci = info.get("pci") if isinstance(info, dict) else None
    address = pci.get("pci-address") if isinstance(pci, dict) else None
    return address if isinstance(address, str) else None
