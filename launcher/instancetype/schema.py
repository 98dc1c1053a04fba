"""Instancetypes and preferences as KubeVirt has them; what reaches the machine is checked there once more.

Source: kubevirt.io/api/instancetype/v1beta1, types.go. The older versions, which KubeVirt served before, are the same
or less. Fields of type `Elsewhere` are copied into the machine as they are.
"""

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta, field

from launcher.quantity import Quantity
from launcher.vmi.guest import DiskBus, IOThreadsPolicy
from launcher.vmi.guest_machine import InterfaceModel, PanicModel, SoundModel, VideoModel
from launcher.vmi.guest_storage import CacheMode, IOMode
from launcher.vmi.schema import NUMA, DiskIOThreads, Hugepages, ObjectMeta, Realtime
from launcher.vmi.schema_base import Count, Elsewhere, FeatureState, KubeVirtStruct, Seconds
from launcher.vmi.schema_machine import (
    EFI,
    ClockOffsetUTC,
    CPUFeature,
    FeatureAPIC,
    FeatureHyperv,
    FeatureKVM,
    Rng,
    Timer,
    TPMDevice,
)
from launcher.vmi.schema_storage import BlockSize

Version = Literal[
    "instancetype.kubevirt.io/v1beta1", "instancetype.kubevirt.io/v1alpha2", "instancetype.kubevirt.io/v1alpha1"
]
VCPUs = Annotated[int, Meta(ge=1, le=2**32 - 1, description="a number of vCPUs, 1 or more")]
Percent = Annotated[int, Meta(ge=0, le=100, description="a percentage from 0 to 100")]


class CPUInstancetype(KubeVirtStruct, frozen=True, kw_only=True):
    """How many vCPUs, and what they are like."""

    guest: VCPUs
    model: str | None = None
    dedicated_cpu_placement: bool | None = field(name="dedicatedCPUPlacement", default=None)
    isolate_emulator_thread: bool | None = None
    numa: NUMA | None = None
    realtime: Realtime | None = None
    max_sockets: Count | None = None


class MemoryInstancetype(KubeVirtStruct, frozen=True, kw_only=True):
    """How much memory, and what backs it."""

    guest: Quantity
    hugepages: Hugepages | None = None
    overcommit_percent: Percent = 0
    max_guest: Quantity | None = None


class VirtualMachineInstancetypeSpec(KubeVirtStruct, frozen=True, kw_only=True):
    """How large a machine is."""

    cpu: CPUInstancetype
    memory: MemoryInstancetype
    node_selector: dict[str, str] | None = None
    scheduler_name: str = ""
    gpus: Elsewhere = None
    host_devices: Elsewhere = None
    io_threads_policy: IOThreadsPolicy | None = None
    io_threads: DiskIOThreads | None = None
    launch_security: Elsewhere = None
    annotations: dict[str, str] = field(default_factory=dict)


class VirtualMachineInstancetype(KubeVirtStruct, frozen=True, kw_only=True):
    """An instancetype, of a namespace or of the cluster."""

    spec: VirtualMachineInstancetypeSpec
    api_version: Version
    kind: Literal["VirtualMachineInstancetype", "VirtualMachineClusterInstancetype"]
    metadata: ObjectMeta = ObjectMeta()
    status: Elsewhere = None


class CPUTopology(StrEnum):
    """How the vCPUs of an instancetype are laid out in the guest; the older words mean the same."""

    SOCKETS = "sockets"
    CORES = "cores"
    THREADS = "threads"
    SPREAD = "spread"
    ANY = "any"
    PREFER_SOCKETS = "preferSockets"
    PREFER_CORES = "preferCores"
    PREFER_THREADS = "preferThreads"
    PREFER_SPREAD = "preferSpread"
    PREFER_ANY = "preferAny"


class Across(StrEnum):
    """What vCPUs are spread over."""

    SOCKETS_CORES = "SocketsCores"
    CORES_THREADS = "CoresThreads"
    SOCKETS_CORES_THREADS = "SocketsCoresThreads"


class SpreadOptions(KubeVirtStruct, frozen=True, kw_only=True):
    """How vCPUs are spread."""

    across: Across | None = None
    ratio: VCPUs | None = None


class CPUPreferences(KubeVirtStruct, frozen=True, kw_only=True):
    """The preferred layout of the vCPUs, and their features."""

    preferred_cpu_topology: CPUTopology | None = field(name="preferredCPUTopology", default=None)
    spread_options: SpreadOptions | None = None
    preferred_cpu_features: tuple[CPUFeature, ...] = field(name="preferredCPUFeatures", default=())


class DevicePreferences(KubeVirtStruct, frozen=True, kw_only=True):
    """What devices are like where the machine does not say."""

    preferred_autoattach_graphics_device: bool | None = None
    preferred_autoattach_mem_balloon: bool | None = None
    preferred_autoattach_pod_interface: bool | None = None
    preferred_autoattach_serial_console: bool | None = None
    preferred_autoattach_input_device: bool | None = None
    preferred_disable_hotplug: bool | None = None
    # KubeVirt applies it to nothing.
    preferred_virtual_gpu_options: Elsewhere = field(name="preferredVirtualGPUOptions", default=None)
    preferred_sound_model: SoundModel | None = None
    preferred_use_virtio_transitional: bool | None = None
    preferred_input_bus: str = ""
    preferred_input_type: str = ""
    preferred_disk_bus: DiskBus | None = None
    preferred_lun_bus: DiskBus | None = None
    preferred_cdrom_bus: DiskBus | None = None
    preferred_disk_dedicated_io_thread: bool | None = None
    preferred_disk_cache: CacheMode | None = None
    preferred_disk_io: IOMode | None = field(name="preferredDiskIO", default=None)
    preferred_disk_block_size: BlockSize | None = None
    preferred_interface_model: InterfaceModel | None = None
    preferred_rng: Rng | None = None
    preferred_block_multi_queue: bool | None = None
    preferred_network_interface_multi_queue: bool | None = None
    preferred_tpm: TPMDevice | None = field(name="preferredTPM", default=None)
    preferred_interface_masquerade: Elsewhere = None
    preferred_panic_device_model: PanicModel | None = None
    preferred_video_type: VideoModel | None = None


class FeaturePreferences(KubeVirtStruct, frozen=True, kw_only=True):
    """The features of the board where the machine does not say."""

    preferred_acpi: FeatureState | None = None
    preferred_apic: FeatureAPIC | None = None
    preferred_hyperv: FeatureHyperv | None = None
    preferred_kvm: FeatureKVM | None = None
    preferred_pvspinlock: FeatureState | None = None
    preferred_smm: FeatureState | None = None


class FirmwarePreferences(KubeVirtStruct, frozen=True, kw_only=True):
    """The firmware where the machine does not say."""

    preferred_use_bios: bool | None = None
    preferred_use_bios_serial: bool | None = None
    preferred_use_efi: bool | None = None
    preferred_use_secure_boot: bool | None = None
    preferred_efi: EFI | None = None


class MachinePreferences(KubeVirtStruct, frozen=True, kw_only=True):
    """The board where the machine does not say."""

    preferred_machine_type: str = ""


class PreferredClockOffset(KubeVirtStruct, frozen=True, kw_only=True):
    """What time the clock shows."""

    utc: ClockOffsetUTC | None = None
    timezone: str | None = None


class ClockPreferences(KubeVirtStruct, frozen=True, kw_only=True):
    """The clock where the machine does not say."""

    preferred_clock_offset: PreferredClockOffset | None = None
    preferred_timer: Timer | None = None


class VolumePreferences(KubeVirtStruct, frozen=True, kw_only=True):
    """The storage class of the claims that the machine's templates make."""

    preferred_storage_class_name: str = ""


class CPURequirement(KubeVirtStruct, frozen=True, kw_only=True):
    """The least vCPUs that do."""

    guest: Count


class MemoryRequirement(KubeVirtStruct, frozen=True, kw_only=True):
    """The least memory that does."""

    guest: Quantity


class PreferenceRequirements(KubeVirtStruct, frozen=True, kw_only=True):
    """What a machine must have for this preference."""

    cpu: CPURequirement | None = None
    memory: MemoryRequirement | None = None
    architecture: str | None = None


class VirtualMachinePreferenceSpec(KubeVirtStruct, frozen=True, kw_only=True):
    """What a machine is like where it does not say."""

    clock: ClockPreferences | None = None
    cpu: CPUPreferences = CPUPreferences()
    devices: DevicePreferences = DevicePreferences()
    features: FeaturePreferences | None = None
    firmware: FirmwarePreferences | None = None
    machine: MachinePreferences = MachinePreferences()
    volumes: VolumePreferences = VolumePreferences()
    preferred_subdomain: str | None = None
    preferred_termination_grace_period_seconds: Seconds | None = None
    requirements: PreferenceRequirements = PreferenceRequirements()
    annotations: dict[str, str] = field(default_factory=dict)
    prefer_spread_socket_to_core_ratio: Count = 0
    preferred_architecture: str | None = None
    preferred_launch_security: Elsewhere = None


class VirtualMachinePreference(KubeVirtStruct, frozen=True, kw_only=True):
    """A preference, of a namespace or of the cluster."""

    spec: VirtualMachinePreferenceSpec
    api_version: Version
    kind: Literal["VirtualMachinePreference", "VirtualMachineClusterPreference"]
    metadata: ObjectMeta = ObjectMeta()
    status: Elsewhere = None
