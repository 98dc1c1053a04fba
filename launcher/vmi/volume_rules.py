"""The admission rules of volumes: one source each, and each source well-formed.

Source: KubeVirt's admission webhook, validateVolumes of vmi-create-admitter.go and pkg/storage/admitters. Where it
bounds the inline data of cloud-init to 2,048 bytes, for the API server's sake, nothing is bounded here.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator

from launcher.errors import Fault
from launcher.quantity import Quantity
from launcher.vmi.fieldpath import child, item, show
from launcher.vmi.rules import (
    Rule,
    Subject,
    faults_at,
    is_image_name,
    path_fault,
    repeated,
    subdomain_fault,
    text_fault,
)
from launcher.vmi.schema_storage import (
    CloudInitNoCloudSource,
    ContainerDiskSource,
    ContainerPathVolumeSource,
    DownwardAPIVolumeFile,
    DownwardAPIVolumeSource,
    EmptyDiskSource,
    EphemeralVolumeSource,
    HostDisk,
    MemoryDumpVolumeSource,
    SysprepSource,
    Volume,
)

VOLUMES = "spec.volumes"
# Names the volumes that no disk uses, on purpose: KubeVirt would refuse them, and so does this program otherwise.
UNUSED_ANNOTATION = "virt-launcher/unused-volumes"
_UNUSED = child("metadata.annotations", UNUSED_ANNOTATION)

# The sources by their names in the document.
SOURCES = {
    "hostDisk": "host_disk",
    "persistentVolumeClaim": "persistent_volume_claim",
    "dataVolume": "data_volume",
    "ephemeral": "ephemeral",
    "containerDisk": "container_disk",
    "emptyDisk": "empty_disk",
    "cloudInitNoCloud": "cloud_init_no_cloud",
    "cloudInitConfigDrive": "cloud_init_config_drive",
    "configMap": "config_map",
    "secret": "secret",
    "downwardAPI": "downward_api",
    "serviceAccount": "service_account",
    "sysprep": "sysprep",
    "memoryDump": "memory_dump",
    "containerPath": "container_path",
    "downwardMetrics": "downward_metrics",
}
MIB = 1 << 20
# KubeVirt's, which are mounts of the launcher's, too.
_RESERVED = ("/var/run/kubevirt", "/var/run/libvirt", "/var/run/virt-launcher")
_MAX_IMAGE = Quantity.of_units(1 << 60, binary=True)
# A disc's label in Joliet's volume descriptor: 16 characters of 2 bytes (ECMA-119, 8.5.6).
_LABEL = re.compile(r"[A-Za-z0-9_.+-]{1,16}", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/'\[\]-]{0,316}[A-Za-z0-9'\]])?", re.ASCII)


def sources_of(volume: Volume) -> list[str]:
    """Return the names in the document of the sources that this volume has; admission wants exactly one."""
    return [name for name, attribute in SOURCES.items() if getattr(volume, attribute) is not None]


def unused_volumes(annotations: dict[str, str]) -> frozenset[str]:
    """Return the names of the volumes that are declared unused."""
    listed = annotations.get(UNUSED_ANNOTATION)
    return frozenset() if listed is None else frozenset(name.strip() for name in listed.split(","))


def _counts(subject: Subject) -> Iterator[Fault]:
    for index, volume in enumerate(subject.vmi.spec.volumes):
        given = sources_of(volume)
        if not given:
            yield Fault(item(VOLUMES, index), f"has no source; wanted one of {', '.join(SOURCES)}")
        elif len(given) > 1:
            yield Fault(item(VOLUMES, index), f"is {' and '.join(given)} at once; wanted one of them")


def _unused(subject: Subject) -> Iterator[Fault]:
    spec = subject.vmi.spec
    volumes, disks = {volume.name for volume in spec.volumes}, {disk.name for disk in spec.domain.devices.disks}
    for name in sorted(unused_volumes(subject.vmi.metadata.annotations)):
        if name not in volumes:
            yield Fault(_UNUSED, f"no volume is called {show(name)} ({VOLUMES})")
        elif name in disks:
            yield Fault(_UNUSED, f"{show(name)} is used by the disk of this name")


def _sysprep(source: SysprepSource, path: str) -> Iterator[Fault]:
    if (source.config_map is None) == (source.secret is None):
        yield Fault(path, "wanted one of configMap and secret, with autounattend.xml or unattend.xml in it")
    for field, reference in (("configMap", source.config_map), ("secret", source.secret)):
        if reference is not None:
            yield from faults_at(f"{path}.{field}.name", subdomain_fault(reference.name))


def _memory_dump(source: MemoryDumpVolumeSource, path: str) -> Iterator[Fault]:
    yield from faults_at(f"{path}.claimName", subdomain_fault(source.claim_name))


def _container_path(source: ContainerPathVolumeSource, path: str) -> Iterator[Fault]:
    yield from faults_at(f"{path}.path", path_fault(source.path))
    if not source.path.startswith("/"):
        yield Fault(f"{path}.path", f"{show(source.path)} is not an absolute path in the launcher's container")
    elif source.path.startswith(_RESERVED):
        yield Fault(f"{path}.path", f"{show(source.path)} is the launcher's own: {' and '.join(_RESERVED)} are")


def _host_disk(disk: HostDisk, path: str) -> Iterator[Fault]:
    yield from faults_at(f"{path}.path", path_fault(disk.path))
    if disk.path.endswith("/"):
        yield Fault(f"{path}.path", f"{show(disk.path)} is the path of a folder; wanted a file's")
    if disk.type == "Disk" and disk.capacity:
        yield Fault(f"{path}.capacity", "has no effect on a disk that exists; wanted type DiskOrCreate")
    elif disk.type == "DiskOrCreate" and disk.capacity is None:
        yield Fault(f"{path}.capacity", "missing; type DiskOrCreate needs it")
    elif disk.type == "DiskOrCreate" and disk.capacity is not None and not Quantity() < disk.capacity <= _MAX_IMAGE:
        yield Fault(f"{path}.capacity", f"{disk.capacity} is not a size from 1 to {_MAX_IMAGE}")


def _empty_disk(disk: EmptyDiskSource, path: str) -> Iterator[Fault]:
    least = Quantity.of_units(MIB, binary=True)
    if not least <= disk.capacity <= _MAX_IMAGE:
        yield Fault(f"{path}.capacity", f"{disk.capacity} is not a size from {least} to {_MAX_IMAGE}")


def _container_disk(disk: ContainerDiskSource, path: str) -> Iterator[Fault]:
    if not is_image_name(disk.image):
        yield Fault(f"{path}.image", f"{show(disk.image)} is not the name of a container image")
    if disk.path:
        yield from faults_at(f"{path}.path", path_fault(disk.path))
        if not disk.path.startswith("/"):
            yield Fault(f"{path}.path", f"{show(disk.path)} is not an absolute path inside of the image")


def _ephemeral(source: EphemeralVolumeSource, path: str) -> Iterator[Fault]:
    where = f"{path}.persistentVolumeClaim"
    if source.persistent_volume_claim is None:
        yield Fault(where, "missing")
    else:
        yield from faults_at(f"{where}.claimName", subdomain_fault(source.persistent_volume_claim.claim_name))


def _cloud_init(source: CloudInitNoCloudSource, path: str) -> Iterator[Fault]:
    user = _given(source, "secret_ref", "user_data_base64", "user_data")
    network = _given(source, "network_data_secret_ref", "network_data_base64", "network_data")
    if not user and not network:
        yield Fault(path, "is empty; wanted userData or networkData, as text, in base64 or in a secret")
    for given, kind in ((user, "userData"), (network, "networkData")):
        if len(given) > 1:
            yield Fault(path, f"has its {kind} from {len(given)} sources; wanted one")
    for reference, field in (
        (source.secret_ref, "secretRef"),
        (source.network_data_secret_ref, "networkDataSecretRef"),
    ):
        if reference is not None:
            yield from faults_at(f"{path}.{field}.name", subdomain_fault(reference.name))
    yield from faults_at(f"{path}.userData", _encoding_fault(source.user_data))
    yield from faults_at(f"{path}.networkData", _encoding_fault(source.network_data))
    yield from faults_at(f"{path}.userDataBase64", _base64_fault(source.user_data_base64))
    yield from faults_at(f"{path}.networkDataBase64", _base64_fault(source.network_data_base64))


def _given(source: CloudInitNoCloudSource, *attributes: str) -> list[str]:
    return [name for name in attributes if getattr(source, name)]


def _encoding_fault(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is no character; bytes that are no text go into base64"
    return None


def _base64_fault(text: str) -> str | None:
    try:
        decode_base64(text)
    except ValueError as error:
        return f"{show(text)} is not base64: {error}"
    return None


def decode_base64(text: str) -> bytes:
    """Decode base64 as Go does, which skips line ends; raises ValueError."""
    try:
        return b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error).lower()) from error


def _downward_api(source: DownwardAPIVolumeSource, path: str) -> Iterator[Fault]:
    paths = [file.path for file in source.fields]
    for index, first in repeated(paths):
        where = item(f"{path}.fields", index)
        yield Fault(f"{where}.path", f"{show(paths[index])} is the path of {item(f'{path}.fields', first)}, too")
    for index, file in enumerate(source.fields):
        yield from _downward_file(file, item(f"{path}.fields", index))
    yield from _volume_label(source.volume_label, path)


def _downward_file(file: DownwardAPIVolumeFile, path: str) -> Iterator[Fault]:
    yield from faults_at(f"{path}.path", path_fault(file.path))
    if file.path.startswith(("/", "..")):
        yield Fault(f"{path}.path", f"{show(file.path)} is not a relative path that begins without '..'")
    if (file.field_ref is None) == (file.resource_field_ref is None):
        yield Fault(path, "wanted one of fieldRef and resourceFieldRef")
    if file.field_ref is not None:
        yield from _words(
            f"{path}.fieldRef", fieldPath=file.field_ref.field_path, apiVersion=file.field_ref.api_version
        )
    if (resource := file.resource_field_ref) is not None:
        where = f"{path}.resourceFieldRef"
        yield from _words(where, resource=resource.resource, containerName=resource.container_name)
        if resource.divisor is not None and resource.divisor < Quantity():
            yield Fault(f"{where}.divisor", f"{resource.divisor} is negative")
    if file.mode is not None and file.mode > 0o777:
        yield Fault(f"{path}.mode", f"{file.mode} is more than 511, which is 0777")


def _words(path: str, **words: str | None) -> Iterator[Fault]:
    for name, word in words.items():
        if word is not None and not _WORD.fullmatch(word):
            yield from faults_at(f"{path}.{name}", text_fault(word) or f"{show(word)} is not a word of the Pod's API")


def _volume_label(label: str, path: str) -> Iterator[Fault]:
    if label and not _LABEL.fullmatch(label):
        yield Fault(f"{path}.volumeLabel", f"{show(label)} is not a label of 1 to 16 letters, digits and _.+-")


def _names(subject: Subject) -> Iterator[Fault]:
    """Check the names of the objects that volumes refer to."""
    for index, volume in enumerate(subject.vmi.spec.volumes):
        path = item(VOLUMES, index)
        named = (
            ("persistentVolumeClaim.claimName", volume.persistent_volume_claim, "claim_name"),
            ("dataVolume.name", volume.data_volume, "name"),
            ("configMap.name", volume.config_map, "name"),
            ("secret.secretName", volume.secret, "secret_name"),
            ("serviceAccount.serviceAccountName", volume.service_account, "service_account_name"),
        )
        for field, source, attribute in named:
            if source is not None:
                yield from faults_at(f"{path}.{field}", subdomain_fault(getattr(source, attribute)))


def _labels(subject: Subject) -> Iterator[Fault]:
    for index, volume in enumerate(subject.vmi.spec.volumes):
        if volume.config_map is not None:
            yield from _volume_label(volume.config_map.volume_label, f"{item(VOLUMES, index)}.configMap")
        if volume.secret is not None:
            yield from _volume_label(volume.secret.volume_label, f"{item(VOLUMES, index)}.secret")


def _service_accounts(subject: Subject) -> Iterator[Fault]:
    """Check that there is one at most: a Pod has one ServiceAccount."""
    accounts = [index for index, volume in enumerate(subject.vmi.spec.volumes) if volume.service_account is not None]
    for index in accounts[1:]:
        first = f"{item(VOLUMES, accounts[0])}.serviceAccount"
        yield Fault(f"{item(VOLUMES, index)}.serviceAccount", f"there is one already, {first}; a Pod has one")


def _metrics(subject: Subject) -> Iterator[Fault]:
    """Check that there is one at most (KubeVirt's validateVolumes)."""
    found = [index for index, volume in enumerate(subject.vmi.spec.volumes) if volume.downward_metrics is not None]
    for index in found[1:]:
        first = f"{item(VOLUMES, found[0])}.downwardMetrics"
        yield Fault(f"{item(VOLUMES, index)}.downwardMetrics", f"there is one already, {first}; a guest has one")


def _of_each(field: str, check: Callable[..., Iterable[Fault]]) -> Rule:
    """Build the rule that checks this source wherever a volume has it."""

    def check_all(subject: Subject) -> Iterator[Fault]:
        for index, volume in enumerate(subject.vmi.spec.volumes):
            source = getattr(volume, SOURCES[field])
            if source is not None:
                yield from check(source, f"{item(VOLUMES, index)}.{field}")

    return Rule(reads=(f"{VOLUMES}[].{field}",), check=check_all)


VOLUME_RULES = (
    Rule(reads=(VOLUMES,), check=_counts),
    Rule(reads=(f"{VOLUMES}[].name", "spec.domain.devices.disks[].name", _UNUSED), check=_unused),
    _of_each("hostDisk", _host_disk),
    _of_each("emptyDisk", _empty_disk),
    _of_each("containerDisk", _container_disk),
    _of_each("ephemeral", _ephemeral),
    _of_each("cloudInitNoCloud", _cloud_init),
    _of_each("cloudInitConfigDrive", _cloud_init),
    _of_each("downwardAPI", _downward_api),
    _of_each("sysprep", _sysprep),
    _of_each("memoryDump", _memory_dump),
    _of_each("containerPath", _container_path),
    Rule(reads=(VOLUMES,), check=_names),
    Rule(reads=(VOLUMES,), check=_labels),
    Rule(reads=(f"{VOLUMES}[].serviceAccount",), check=_service_accounts),
    Rule(reads=(f"{VOLUMES}[].downwardMetrics",), check=_metrics),
)
