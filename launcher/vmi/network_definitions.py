"""What the NetworkAttachmentDefinitions beside a machine say: the resource whose devices make a network.

Source: Multus and KubeVirt (pkg/network/multus, nad.go): an annotation on the definition names the resource.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from launcher.vmi.guest import Guest
from launcher.vmi.guest_machine import Attachment
from launcher.vmi.manifest import DEFAULT_NAMESPACE, Document, text_at

KIND = "NetworkAttachmentDefinition"
_RESOURCE_ANNOTATION = "k8s.v1.cni.cncf.io/resourceName"


def resources_of(document: Document) -> Mapping[tuple[str, str], str]:
    """Return the resource of each network beside the machine, by namespace and name; "" where it has none."""
    own = namespace_of(document)
    return {
        (one.namespace or own, one.name): text_at(one.root, "metadata", "annotations", _RESOURCE_ANNOTATION)
        for one in document.companions
        if one.kind == KIND
    }


def namespace_of(document: Document) -> str:
    """Return the machine's namespace."""
    return text_at(document.root, "metadata", "namespace") or DEFAULT_NAMESPACE


def with_resources(guest: Guest, document: Document) -> Guest:
    """Return the guest with the resource of each virtual function, as far as the networks beside the machine say it."""
    if all(request.attachment is None for request in guest.host_devices):
        return guest
    resources, own = resources_of(document), namespace_of(document)
    requests = tuple(
        request
        if request.attachment is None
        else replace(request, resource=resources.get(_key(request.attachment, own), ""))
        for request in guest.host_devices
    )
    return replace(guest, host_devices=requests)


def _key(attachment: Attachment, own: str) -> tuple[str, str]:
    return attachment.namespace or own, attachment.name
