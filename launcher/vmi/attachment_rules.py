"""The admission rules of networks that Multus attaches: what a networkName may be, and one device for each."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Fault
from launcher.vmi.attachments import is_network_name, is_secondary, parts_of
from launcher.vmi.fieldpath import item, show
from launcher.vmi.rules import Rule, Subject, faults_at, label_fault, repeated, subdomain_fault

NETWORKS = "spec.networks"


def _names(subject: Subject) -> Iterator[Fault]:
    for index, network in enumerate(subject.vmi.spec.networks):
        if network.multus is not None:
            yield from _name(network.multus.network_name, f"{item(NETWORKS, index)}.multus.networkName")


def _name(text: str, path: str) -> Iterator[Fault]:
    if not is_network_name(text):
        yield Fault(
            path,
            f"{show(text)} names no NetworkAttachmentDefinition, with a device of 1 to 15 characters after an @ or "
            "none; wanted [namespace/]name[@device]",
        )
        return
    namespace, name, _ = parts_of(text)
    yield from faults_at(path, None if namespace is None else label_fault(namespace), subdomain_fault(name))


def _defaults(subject: Subject) -> Iterator[Fault]:
    """Check that a default network is the only one, instead of pod (KubeVirt's validateSinglePodNetwork)."""
    networks = subject.vmi.spec.networks
    defaults = [index for index, one in enumerate(networks) if one.multus is not None and one.multus.default]
    if not defaults:
        return
    first = item(NETWORKS, defaults[0])
    for index, network in enumerate(networks):
        if index in defaults[1:] or network.pod is not None:
            message = f"{first}, multus with default: true, is the Pod's own network already; a Pod has one"
            yield Fault(item(NETWORKS, index), message)
        elif network.multus is not None and network.multus.default and parts_of(network.multus.network_name)[2]:
            yield Fault(
                f"{item(NETWORKS, index)}.multus.networkName", "the device of a default network is eth0, not after an @"
            )


def _devices(subject: Subject) -> Iterator[Fault]:
    devices = [
        parts_of(one.multus.network_name)[2] if one.multus is not None and is_secondary(one) else None
        for one in subject.vmi.spec.networks
    ]
    for index, first in repeated(devices):
        message = f"the device {devices[index]} is that of {item(NETWORKS, first)}, too"
        yield Fault(f"{item(NETWORKS, index)}.multus.networkName", message)


ATTACHMENT_RULES = (
    Rule(reads=(f"{NETWORKS}[].multus",), check=_names),
    Rule(reads=(NETWORKS,), check=_defaults),
    Rule(reads=(NETWORKS,), check=_devices),
)
