"""What the objects that came with a machine say of its Pod: which claims are devices, what a network asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from launcher.pod.yaml_text import to_yaml
from launcher.vmi.guest import Guest
from launcher.vmi.manifest import Document, Value, mapping_at, name_of, text_at
from launcher.vmi.network_definitions import KIND, namespace_of, resources_of
from launcher.vmi.schema import VirtualMachineInstance
from launcher.vmi.schema_storage import Volume

# Of these the launcher makes the guest; all else the kubelet brings into the Pod.
_OF_THE_GUEST = (
    "VirtualMachineInstancetype",
    "VirtualMachineClusterInstancetype",
    "VirtualMachinePreference",
    "VirtualMachineClusterPreference",
)


# Where a volume of a Pod names an object, and of which kind that is.
_NAMES = (
    ("ConfigMap", "configMap", "name"),
    ("Secret", "secret", "secretName"),
    ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName"),
)


def manifest_text(document: Document, guest: Guest) -> str:
    """Return the manifest as the launcher is to read it: the machine, and what it is made from.

    The definitions of networks go with it for a guest with virtual functions: they name the variables that tell them.
    """
    has_functions = any(request.attachment is not None for request in guest.host_devices)
    kinds = (*_OF_THE_GUEST, KIND) if has_functions else _OF_THE_GUEST
    roots = [document.root, *(one.root for one in document.companions if one.kind in kinds)]
    return "---\n".join(map(to_yaml, roots))


def applied_of(document: Document, pod: Mapping[str, Value]) -> tuple[dict[str, Value], ...]:
    """Return the objects beside the machine that its Pod names, as they stand: without them it would not start."""
    own, named = namespace_of(document), set(_named_by(pod))
    return tuple(
        one.root
        for one in document.companions
        if (one.kind, one.name) in named and one.namespace in ("", own) and not one.given_as
    )


def _named_by(pod: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    volumes = mapping_at(dict(pod), "spec").get("volumes")
    for volume in volumes if isinstance(volumes, list) else []:
        for kind, *path in _NAMES:
            if name := text_at(volume, *path):
                yield kind, name
    if account := text_at(dict(pod), "spec", "serviceAccountName"):
        yield "ServiceAccount", account


def block_volumes_of(document: Document, vmi: VirtualMachineInstance) -> frozenset[str]:
    """Return the names of the volumes whose claims are said to be block devices (volumeMode: Block)."""
    blocks = set(_block_claims(document))
    return frozenset(volume.name for volume in vmi.spec.volumes if _claim_of(volume) in blocks)


def _claim_of(volume: Volume) -> str | None:
    if volume.persistent_volume_claim is not None:
        return volume.persistent_volume_claim.claim_name
    return None if volume.data_volume is None else volume.data_volume.name


def _block_claims(document: Document) -> Iterator[str]:
    """Yield the names of claims that are block devices, in the stream or as templates of the machine."""
    for companion in document.companions:
        if companion.kind == "PersistentVolumeClaim" and text_at(companion.root, "spec", "volumeMode") == "Block":
            yield companion.name
        if companion.kind == "DataVolume" and _is_block(companion.root):
            yield companion.name
    templates = mapping_at(document.root, "spec").get("dataVolumeTemplates")
    for template in templates if isinstance(templates, list) else []:
        if isinstance(template, dict) and _is_block(template):
            yield name_of(template)


def _is_block(data_volume: Mapping[str, Value]) -> bool:
    spec = dict(data_volume)
    return "Block" in (text_at(spec, "spec", "storage", "volumeMode"), text_at(spec, "spec", "pvc", "volumeMode"))


def network_resources(document: Document, guest: Guest) -> Iterator[tuple[str, str]]:
    """Yield what the networks of the guest's cards ask for, each as many times as it is attached.

    Virtual functions are devices of the host, which are counted with those (resources.py).
    """
    resources, own = resources_of(document), namespace_of(document)
    attached = (card.attachment for card in guest.peripherals.interfaces)
    wanted = (
        resources.get((attachment.namespace or own, attachment.name), "")
        for attachment in attached
        if attachment is not None
    )
    counts = Counter(filter(None, wanted))
    yield from ((name, str(count)) for name, count in sorted(counts.items()))
