"""The disks and volumes of KubeVirt's API that this program acts on; see schema.py for what holds for all of it.

Source: kubevirt.io/api/core/v1, schema.go. Left out, and so refused as not supported: hot-plugged volumes.
"""

from typing import Literal

from msgspec import field

from launcher.quantity import Quantity
from launcher.vmi.guest import DiskBus
from launcher.vmi.guest_storage import CacheMode, ErrorPolicy, IOMode
from launcher.vmi.schema_base import BootOrder, Count, Elsewhere, FeatureState, KubeVirtStruct


class DiskTarget(KubeVirtStruct, frozen=True, kw_only=True):
    """A hard disk."""

    bus: DiskBus | None = None
    readonly: bool = False
    pci_address: str | None = None


class CDRomTarget(KubeVirtStruct, frozen=True, kw_only=True):
    """A CD-ROM; always read-only, as QEMU's are, whatever `readonly` says."""

    bus: DiskBus | None = None
    readonly: bool = True
    # libvirt takes "open" and closes the tray with the disc in it, as under KubeVirt.
    tray: Literal["closed", "open"] | None = None


class LunTarget(KubeVirtStruct, frozen=True, kw_only=True):
    """A SCSI device passed through."""

    bus: DiskBus | None = None
    readonly: bool = False
    reservation: bool = False


class CustomBlockSize(KubeVirtStruct, frozen=True, kw_only=True):
    """The sizes of a disk's blocks, in bytes."""

    logical: Count = 0
    physical: Count = 0
    discard_granularity: Count | None = None


class BlockSize(KubeVirtStruct, frozen=True, kw_only=True):
    """The sizes of a disk's blocks: given, or those of the volume."""

    custom: CustomBlockSize | None = None
    match_volume: FeatureState | None = None


class Disk(KubeVirtStruct, frozen=True, kw_only=True):
    """A disk of the guest; the volume of the same name holds its content."""

    name: str
    disk: DiskTarget | None = None
    cdrom: CDRomTarget | None = None
    lun: LunTarget | None = None
    boot_order: BootOrder | None = None
    serial: str = ""
    tag: str = ""
    dedicated_iothread: bool | None = field(name="dedicatedIOThread", default=None)
    cache: CacheMode | None = None
    io: IOMode | None = None
    block_size: BlockSize | None = None
    shareable: bool = False
    error_policy: ErrorPolicy | None = None
    changed_block_tracking: bool = False


class HostDisk(KubeVirtStruct, frozen=True, kw_only=True):
    """An image file where the launcher runs; the path is absolute or relative to the working directory."""

    path: str
    type: Literal["Disk", "DiskOrCreate"]
    capacity: Quantity | None = None
    # Whether several nodes see the same file: for KubeVirt's live migration.
    shared: Elsewhere = None


class LocalObjectReference(KubeVirtStruct, frozen=True, kw_only=True):
    """The name of an object in the guest's namespace."""

    name: str


class PersistentVolumeClaimVolumeSource(KubeVirtStruct, frozen=True, kw_only=True):
    """A claim that the Pod mounts, or has as a block device."""

    claim_name: str
    read_only: bool = False
    # Whether it may be unplugged while the guest runs, which nobody asks of a launcher.
    hotpluggable: Elsewhere = False


class DataVolumeSource(KubeVirtStruct, frozen=True, kw_only=True):
    """The claim that a DataVolume of this name has filled."""

    name: str
    # Whether it may be unplugged while the guest runs, which nobody asks of a launcher.
    hotpluggable: Elsewhere = False


class EphemeralClaim(KubeVirtStruct, frozen=True, kw_only=True):
    """Kubernetes' own PersistentVolumeClaimVolumeSource, without KubeVirt's addition.

    The claim is never written: `readOnly` is for those who mount it.
    """

    claim_name: str
    read_only: Elsewhere = None


class EphemeralVolumeSource(KubeVirtStruct, frozen=True, kw_only=True):
    """A layer over a claim."""

    persistent_volume_claim: EphemeralClaim | None = None


class ContainerDiskSource(KubeVirtStruct, frozen=True, kw_only=True):
    """An image file inside of a container image; the Pod has it mounted, the launcher pulls nothing."""

    image: str
    path: str | None = None
    image_pull_secret: str | None = None
    image_pull_policy: Literal["Always", "Never", "IfNotPresent"] | None = None


class EmptyDiskSource(KubeVirtStruct, frozen=True, kw_only=True):
    """An empty disk."""

    capacity: Quantity


class CloudInitNoCloudSource(KubeVirtStruct, frozen=True, kw_only=True):
    """Data for cloud-init, of at most one kind each for the user and the network."""

    secret_ref: LocalObjectReference | None = None
    user_data_base64: str = ""
    user_data: str = ""
    network_data_secret_ref: LocalObjectReference | None = None
    network_data_base64: str = ""
    network_data: str = ""


class CloudInitConfigDriveSource(CloudInitNoCloudSource, frozen=True, kw_only=True):
    """The same data in OpenStack's form."""


class ConfigMapVolumeSource(KubeVirtStruct, frozen=True, kw_only=True):
    """A ConfigMap as a disc."""

    name: str
    optional: bool = False
    volume_label: str = ""


class SecretVolumeSource(KubeVirtStruct, frozen=True, kw_only=True):
    """A Secret as a disc."""

    secret_name: str
    optional: bool = False
    volume_label: str = ""


class ServiceAccountVolumeSource(KubeVirtStruct, frozen=True, kw_only=True):
    """A ServiceAccount's token, namespace and certificate as a disc."""

    service_account_name: str


class ObjectFieldSelector(KubeVirtStruct, frozen=True, kw_only=True):
    """A field of the Pod."""

    field_path: str
    api_version: str | None = None


class ResourceFieldSelector(KubeVirtStruct, frozen=True, kw_only=True):
    """A request or limit of a container."""

    resource: str
    container_name: str | None = None
    divisor: Quantity | None = None


class DownwardAPIVolumeFile(KubeVirtStruct, frozen=True, kw_only=True):
    """One file of a downwardAPI volume."""

    path: str
    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    mode: Count | None = None


class DownwardAPIVolumeSource(KubeVirtStruct, frozen=True, kw_only=True):
    """Fields of the Pod as a disc of files."""

    fields: tuple[DownwardAPIVolumeFile, ...] = ()
    volume_label: str = ""


class SysprepSource(KubeVirtStruct, frozen=True, kw_only=True):
    """An answer file for Windows' setup as a disc: a ConfigMap or a Secret with autounattend.xml or unattend.xml."""

    config_map: LocalObjectReference | None = None
    secret: LocalObjectReference | None = None


class MemoryDumpVolumeSource(KubeVirtStruct, frozen=True, kw_only=True):
    """A claim into which KubeVirt dumps the memory of a running guest; no disk of the guest."""

    claim_name: str
    read_only: bool = False
    hotpluggable: bool = False


class ContainerPathVolumeSource(KubeVirtStruct, frozen=True, kw_only=True):
    """A folder of the launcher's container as a file system of the guest; somebody else has mounted it there."""

    path: str
    read_only: bool | None = None


class DownwardMetricsVolumeSource(KubeVirtStruct, frozen=True, kw_only=True):
    """Figures of the host and of the guest as a disk that is written anew while the guest runs (vhostmd's)."""


class Volume(KubeVirtStruct, frozen=True, kw_only=True):
    """The content of the disk of the same name: one of these."""

    name: str
    host_disk: HostDisk | None = None
    persistent_volume_claim: PersistentVolumeClaimVolumeSource | None = None
    data_volume: DataVolumeSource | None = None
    ephemeral: EphemeralVolumeSource | None = None
    container_disk: ContainerDiskSource | None = None
    empty_disk: EmptyDiskSource | None = None
    cloud_init_no_cloud: CloudInitNoCloudSource | None = None
    cloud_init_config_drive: CloudInitConfigDriveSource | None = None
    config_map: ConfigMapVolumeSource | None = None
    secret: SecretVolumeSource | None = None
    downward_api: DownwardAPIVolumeSource | None = field(name="downwardAPI", default=None)
    service_account: ServiceAccountVolumeSource | None = None
    sysprep: SysprepSource | None = None
    memory_dump: MemoryDumpVolumeSource | None = None
    container_path: ContainerPathVolumeSource | None = None
    downward_metrics: DownwardMetricsVolumeSource | None = None
