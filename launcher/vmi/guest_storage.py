"""What the guest's volumes are, as values: which content the manifest asks for, not where it lies on a machine.

They are msgspec structures, as the schema's are: defining one takes 10 us, a dataclass 500.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct


class CacheMode(StrEnum):
    """`disks[].cache`: what the host keeps of the guest's blocks."""

    NONE = "none"
    WRITETHROUGH = "writethrough"
    WRITEBACK = "writeback"


class IOMode(StrEnum):
    """`disks[].io`: how QEMU reads and writes an image."""

    NATIVE = "native"
    THREADS = "threads"


class ErrorPolicy(StrEnum):
    """`disks[].errorPolicy`: what becomes of the guest when its disk cannot be read or written."""

    STOP = "stop"
    IGNORE = "ignore"
    REPORT = "report"
    ENOSPACE = "enospace"


class CloudInitKind(StrEnum):
    """Which of cloud-init's data sources a disc is for."""

    NO_CLOUD = "NoCloud"
    CONFIG_DRIVE = "ConfigDrive"


class FolderKind(StrEnum):
    """Which object of Kubernetes a mounted folder holds; the value is the volume's field in the manifest."""

    CONFIG_MAP = "configMap"
    SECRET = "secret"  # noqa: S105 - a field's name
    DOWNWARD_API = "downwardAPI"
    SERVICE_ACCOUNT = "serviceAccount"
    SYSPREP = "sysprep"


class BlockSize(Struct, frozen=True, kw_only=True):
    """The sizes of a disk's blocks that the guest is told, in bytes."""

    logical: int
    physical: int
    # What the guest discards is a multiple of it; None leaves it to QEMU, 0 turns discarding off.
    discard_granularity: int | None = None


class Claim(Struct, frozen=True, kw_only=True):
    """A persistentVolumeClaim, or a dataVolume (whose claim has its name): a block device, or a folder with disk.img.

    Which of the two it is no manifest says: it depends on the claim's volumeMode.
    """

    claim: str
    readonly: bool = False


class Ephemeral(Struct, frozen=True, kw_only=True):
    """A layer over a claim that stays as it is; the layer ends with the guest."""

    claim: str


class ContainerDisk(Struct, frozen=True, kw_only=True):
    """An image file of a container image, with a layer over it that ends with the guest.

    `index` is the volume's place among spec.volumes, by which KubeVirt names the file; `path` is the file's place in
    the container image, where not the only file of /disk is meant.
    """

    image: str
    index: int
    path: str | None = None


class EmptyDisk(Struct, frozen=True, kw_only=True):
    """An empty disk that ends with the guest."""

    capacity_bytes: int


class CloudInit(Struct, frozen=True, kw_only=True):
    """A disc for cloud-init: what is given in the manifest, else the name of the secret that holds it."""

    kind: CloudInitKind
    user_data: bytes | None = None
    user_data_secret: str | None = None
    network_data: bytes | None = None
    network_data_secret: str | None = None
    # The Secrets whose values are public keys for the guest's first user.
    key_secrets: tuple[str, ...] = ()


def is_cloud_init(volume: object, kind: CloudInitKind) -> bool:
    """Tell whether this is the volume of such a disc."""
    return isinstance(volume, CloudInit) and volume.kind is kind


class DownwardFile(Struct, frozen=True, kw_only=True):
    """A file that the kubelet writes into a downwardAPI volume: a field of the Pod, or a resource of a container."""

    path: str
    field_path: str | None = None
    api_version: str | None = None
    resource: str | None = None
    container: str | None = None
    divisor: str | None = None
    mode: int | None = None


class MountedFolder(Struct, frozen=True, kw_only=True):
    """A disc of the files that the kubelet mounts: a ConfigMap, a Secret, the Pod's fields or a ServiceAccount.

    `object_name` is the ConfigMap's, Secret's or ServiceAccount's; `label` None leaves the disc's label to the default.
    """

    kind: FolderKind
    object_name: str | None = None
    label: str | None = None
    optional: bool = False
    files: tuple[DownwardFile, ...] = ()


class BesideObject(Struct, frozen=True, kw_only=True):
    """A ConfigMap or Secret that stands beside the machine, for where no Pod mounts it: its files, sorted by name."""

    kind: str
    name: str
    files: tuple[tuple[str, bytes], ...]


class ContainerPath(Struct, frozen=True, kw_only=True):
    """A folder of the launcher's container, which somebody else has mounted there."""

    path: str


class SharedFolder(Struct, frozen=True, kw_only=True):
    """A file system of the guest by its tag: the folder of a volume, over virtiofs."""

    name: str
    source: Claim | MountedFolder | ContainerPath


class AgentKeys(Struct, frozen=True, kw_only=True):
    """Public keys of a Secret for users of the guest, by its agent."""

    secret: str
    users: tuple[str, ...]


class AgentPasswords(Struct, frozen=True, kw_only=True):
    """Passwords of a Secret by the users' names, by the guest's agent."""

    secret: str


class HostMetrics(Struct, frozen=True, kw_only=True):
    """A disk with vhostmd's figures, which the launcher writes anew while the guest runs."""


Volume: TypeAlias = HostMetrics | Claim | Ephemeral | ContainerDisk | EmptyDisk | CloudInit | MountedFolder
