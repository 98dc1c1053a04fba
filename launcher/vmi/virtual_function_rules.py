"""The admission rules of interfaces on virtual functions (sriov), and of networks that a resource claim brings.

Source: KubeVirt's pkg/network/admitter (admit.go, dra.go).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from launcher.errors import Fault
from launcher.vmi.attachments import is_secondary
from launcher.vmi.fieldpath import item, show
from launcher.vmi.rules import Rule, Subject, repeated

_INTERFACES = "spec.domain.devices.interfaces"
_DISKS = "spec.domain.devices.disks"
_NETWORKS = "spec.networks"
_CLAIMS = "spec.resourceClaims"
# Those of QEMU's machines, all of whose buses are in one domain (KubeVirt's ParsePciAddress takes any digits).
_ADDRESS = re.compile(r"0000:[0-9A-Fa-f]{2}:[01][0-9A-Fa-f]\.[0-7]", re.ASCII)


def _functions(subject: Subject) -> Iterator[Fault]:
    networks = {network.name: network for network in subject.vmi.spec.networks}
    for index, interface in enumerate(subject.vmi.spec.domain.devices.interfaces):
        path, network = item(_INTERFACES, index), networks.get(interface.name)
        if network is not None and network.resource_claim is not None and interface.sriov is None:
            yield Fault(path, f"is on network {show(network.name)}, a resource claim's; wanted sriov")
        if interface.sriov is None:
            continue
        if network is not None and not is_secondary(network) and network.resource_claim is None:
            yield Fault(path, "sriov needs a multus network, or a resourceClaim; for the Pod's own wanted masquerade")
        if interface.state is not None:
            yield Fault(f"{path}.state", "the link of a virtual function is its network card's to set; leave it out")


def _claimed(subject: Subject) -> Iterator[Fault]:
    networks, known = subject.vmi.spec.networks, {claim.name for claim in subject.vmi.spec.resource_claims}
    claims = [(index, network.resource_claim) for index, network in enumerate(networks)]
    for index, claim in claims:
        if claim is None:
            continue
        path = f"{item(_NETWORKS, index)}.resourceClaim"
        for field, value in (("claimName", claim.claim_name), ("requestName", claim.request_name)):
            if not value:
                yield Fault(f"{path}.{field}", "missing; a claim's request is named by claimName and requestName")
        if claim.claim_name and claim.claim_name not in known:
            yield Fault(f"{path}.claimName", f"{show(claim.claim_name)} is not in {_CLAIMS}")
    if any(claim is not None for _, claim in claims) and any(network.multus is not None for network in networks):
        yield Fault(_NETWORKS, "some are multus and some a resource claim's; KubeVirt takes one kind at a time")
    pairs = [None if claim is None else (claim.claim_name, claim.request_name) for _, claim in claims]
    for index, first in repeated(pairs):
        yield Fault(item(_NETWORKS, index), f"is the resource claim's request of {item(_NETWORKS, first)}, too")


def _addresses(subject: Subject) -> Iterator[Fault]:
    devices = subject.vmi.spec.domain.devices
    disks = ((f"{item(_DISKS, index)}.disk", disk.disk) for index, disk in enumerate(devices.disks))
    given = [
        *((f"{path}.pciAddress", disk.pci_address) for path, disk in disks if disk is not None),
        *(
            (f"{item(_INTERFACES, index)}.pciAddress", interface.pci_address)
            for index, interface in enumerate(devices.interfaces)
        ),
    ]
    addresses = [None if address is None else address.lower() for _, address in given]
    for path, address in given:
        if address is not None and not _ADDRESS.fullmatch(address):
            yield Fault(path, f"{show(address)} is not an address on the guest's PCI buses such as 0000:07:00.0")
    for index, first in repeated(addresses):
        yield Fault(given[index][0], f"{show(given[index][1])} is that of {given[first][0]}, too")
    for index, disk in enumerate(devices.disks):
        if disk.disk is not None and disk.disk.pci_address is not None and disk.disk.bus != "virtio":
            path = f"{item(_DISKS, index)}.disk.pciAddress"
            yield Fault(path, "only a disk with bus: virtio is on the PCI bus; say that bus, or leave the address out")


VIRTUAL_FUNCTION_RULES = (
    Rule(
        reads=(f"{_INTERFACES}[].sriov", f"{_INTERFACES}[].name", f"{_INTERFACES}[].state", _NETWORKS), check=_functions
    ),
    Rule(reads=(_NETWORKS, _CLAIMS), check=_claimed),
    Rule(reads=(f"{_INTERFACES}[].pciAddress", f"{_DISKS}[].disk"), check=_addresses),
)
