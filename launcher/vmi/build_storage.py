"""Builds the disks and volumes of an admitted manifest, with the defaults filled in that KubeVirt has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from launcher.quantity import Quantity
from launcher.vmi.disks import bus_of, device_of, target_of
from launcher.vmi.guest import Disk, DiskBus
from launcher.vmi.guest_storage import (
    BlockSize,
    CacheMode,
    Claim,
    CloudInit,
    CloudInitKind,
    ContainerDisk,
    DownwardFile,
    EmptyDisk,
    Ephemeral,
    ErrorPolicy,
    FolderKind,
    HostMetrics,
    MountedFolder,
)
from launcher.vmi.guest_storage import Volume as GuestVolume
from launcher.vmi.schema import VirtualMachineInstance
from launcher.vmi.schema_access import AccessCredential
from launcher.vmi.schema_storage import (
    CloudInitNoCloudSource,
    ContainerDiskSource,
    DownwardAPIVolumeFile,
    EphemeralVolumeSource,
    Volume,
)
from launcher.vmi.schema_storage import Disk as DiskSpec
from launcher.vmi.volume_rules import MIB, decode_base64

# VIRTIO_QUEUE_MAX of QEMU's include/hw/virtio/virtio.h: more it refuses.
_MAX_QUEUES = 1024
# KubeVirt's label for a disc with an answer file; Windows looks at none.
_SYSPREP_LABEL = "unattendCD"
Credentials: TypeAlias = tuple[AccessCredential, ...]


def disks_of(vmi: VirtualMachineInstance, *, arch: str, vcpus: int) -> tuple[Disk, ...]:
    """Build the disks in the manifest's order, each with its volume."""
    devices = vmi.spec.domain.devices
    volumes = {volume.name: (volume, index) for index, volume in enumerate(vmi.spec.volumes)}
    queues = min(vcpus, _MAX_QUEUES) if devices.block_multi_queue else None
    contents = {name: content_of(*found, vmi.spec.access_credentials) for name, found in volumes.items()}
    return tuple(
        _disk(disk, volumes[disk.name][0], contents[disk.name], arch=arch, queues=queues)
        if disk.name in volumes
        else _empty_drive(disk, arch)
        for disk in devices.disks
    )


def _empty_drive(disk: DiskSpec, arch: str) -> Disk:
    return Disk(
        name=disk.name,
        bus=bus_of(disk, arch),
        device=device_of(disk),
        readonly=True,
        boot_order=disk.boot_order,
        is_empty=True,
        is_open=_is_open(disk),
    )


def _is_open(disk: DiskSpec) -> bool:
    return disk.cdrom is not None and disk.cdrom.tray == "open"


def _disk(disk: DiskSpec, volume: Volume, content: GuestVolume | None, *, arch: str, queues: int | None) -> Disk:
    target, bus = target_of(disk), bus_of(disk, arch)
    return Disk(
        name=disk.name,
        path="" if volume.host_disk is None else volume.host_disk.path,
        bus=bus,
        device=device_of(disk),
        readonly=disk.cdrom is not None
        or target.readonly
        or isinstance(content, HostMetrics)
        or (isinstance(content, Claim) and content.readonly),
        dedicated_iothread=bool(disk.dedicated_iothread),
        boot_order=disk.boot_order,
        create_bytes=_create_bytes(volume),
        volume=content,
        serial=disk.serial or None,
        cache=CacheMode.NONE if disk.shareable else disk.cache,
        io=disk.io,
        error_policy=disk.error_policy or ErrorPolicy.STOP,
        shareable=disk.shareable,
        block_size=_block_size(disk),
        matches_volume=_matches_volume(disk),
        queues=queues if bus is DiskBus.VIRTIO else None,
        tag=disk.tag,
        is_reserved=disk.lun is not None and disk.lun.reservation,
        is_called_writable=disk.cdrom is not None and not disk.cdrom.readonly,
        is_open=_is_open(disk),
        is_tracked=disk.changed_block_tracking,
        guest_address=None if disk.disk is None else disk.disk.pci_address,
    )


def _create_bytes(volume: Volume) -> int | None:
    disk = volume.host_disk
    return None if disk is None or disk.type == "Disk" or disk.capacity is None else disk.capacity.ceil


def _block_size(disk: DiskSpec) -> BlockSize | None:
    custom = None if disk.block_size is None else disk.block_size.custom
    if custom is None:
        return None
    granularity = custom.discard_granularity
    return BlockSize(logical=custom.logical, physical=custom.physical, discard_granularity=granularity)


def _matches_volume(disk: DiskSpec) -> bool:
    match = None if disk.block_size is None else disk.block_size.match_volume
    return match is not None and match.enabled


def content_of(volume: Volume, index: int, credentials: Credentials = ()) -> GuestVolume | None:  # noqa: PLR0911
    """Build what the volume's source says; None for a hostDisk, which its disk's path names."""
    if volume.persistent_volume_claim is not None:
        claim = volume.persistent_volume_claim
        return Claim(claim=claim.claim_name, readonly=claim.read_only)
    if volume.data_volume is not None:
        return Claim(claim=volume.data_volume.name)
    if volume.ephemeral is not None:
        return _ephemeral(volume.ephemeral)
    if volume.container_disk is not None:
        return _container_disk(volume.container_disk, index)
    if volume.empty_disk is not None:
        # KubeVirt rounds down to whole MiB, too.
        return EmptyDisk(capacity_bytes=_floor(volume.empty_disk.capacity) // MIB * MIB)
    if volume.downward_metrics is not None:
        return HostMetrics()
    return _cloud_init(volume, credentials) or _folder(volume)


def _floor(amount: Quantity) -> int:
    return amount.ceil if amount.is_whole else amount.ceil - 1


def _ephemeral(source: EphemeralVolumeSource) -> Ephemeral:
    claim = source.persistent_volume_claim
    return Ephemeral(claim="" if claim is None else claim.claim_name)


def _container_disk(source: ContainerDiskSource, index: int) -> ContainerDisk:
    return ContainerDisk(image=source.image, index=index, path=source.path or None)


def _cloud_init(volume: Volume, credentials: Credentials) -> CloudInit | None:
    if volume.cloud_init_no_cloud is not None:
        return _cloud_init_of(volume.cloud_init_no_cloud, CloudInitKind.NO_CLOUD, credentials)
    if volume.cloud_init_config_drive is not None:
        return _cloud_init_of(volume.cloud_init_config_drive, CloudInitKind.CONFIG_DRIVE, credentials)
    return None


def _cloud_init_of(source: CloudInitNoCloudSource, kind: CloudInitKind, credentials: Credentials) -> CloudInit:
    user, network = source.secret_ref, source.network_data_secret_ref
    return CloudInit(
        kind=kind,
        user_data=_data(source.user_data, source.user_data_base64),
        user_data_secret=None if user is None else user.name,
        network_data=_data(source.network_data, source.network_data_base64),
        network_data_secret=None if network is None else network.name,
        key_secrets=tuple(_key_secrets(kind, credentials)),
    )


def _key_secrets(kind: CloudInitKind, credentials: Credentials) -> Iterator[str]:
    """Yield the Secrets of the public keys that go by this kind of disc."""
    for credential in credentials:
        keys = credential.ssh_public_key
        if keys is None or keys.source.secret is None:
            continue
        method = keys.propagation_method
        if (method.no_cloud if kind is CloudInitKind.NO_CLOUD else method.config_drive) is not None:
            yield keys.source.secret.secret_name


def _data(text: str, base64: str) -> bytes | None:
    return text.encode() or decode_base64(base64) or None


def _folder(volume: Volume) -> MountedFolder | None:
    if (config := volume.config_map) is not None:
        label = config.volume_label or None
        return MountedFolder(kind=FolderKind.CONFIG_MAP, object_name=config.name, label=label, optional=config.optional)
    if (secret := volume.secret) is not None:
        label = secret.volume_label or None
        return MountedFolder(
            kind=FolderKind.SECRET, object_name=secret.secret_name, label=label, optional=secret.optional
        )
    if (account := volume.service_account) is not None:
        return MountedFolder(kind=FolderKind.SERVICE_ACCOUNT, object_name=account.service_account_name)
    if (sysprep := volume.sysprep) is not None:
        answers = sysprep.config_map or sysprep.secret
        return MountedFolder(
            kind=FolderKind.SYSPREP, object_name=None if answers is None else answers.name, label=_SYSPREP_LABEL
        )
    if (downward := volume.downward_api) is not None:
        files = tuple(_downward_file(file) for file in downward.fields)
        return MountedFolder(kind=FolderKind.DOWNWARD_API, label=downward.volume_label or None, files=files)
    return None


def _downward_file(file: DownwardAPIVolumeFile) -> DownwardFile:
    field, resource = file.field_ref, file.resource_field_ref
    divisor = None if resource is None or resource.divisor is None else str(resource.divisor)
    return DownwardFile(
        path=file.path,
        field_path=None if field is None else field.field_path,
        api_version=None if field is None else field.api_version,
        resource=None if resource is None else resource.resource,
        container=None if resource is None else resource.container_name,
        divisor=divisor,
        mode=file.mode,
    )
