"""The part of KubeVirt's API that this program acts on, as frozen structures with KubeVirt's own type names.

Source: kubevirt.io/api/core/v1, schema.go and types.go. What is here is supported, and nothing that is not: a field of
KubeVirt that is missing here is refused as "not supported" (kubevirt_fields.py knows their names).

Fields of type `Elsewhere` are the one exception: they are accepted and change nothing in the guest, because somebody
else has acted on them before or will afterwards: the API server (metadata, status), the scheduler (nodeSelector,
affinity, ...) or KubeVirt's controllers (evictionStrategy, runStrategy, ...). The launcher neither could nor should.

Toggles of which only one value is true of this program are `Literal`: `pit.present: true` is what the guest gets,
`false` is refused. A field with the default None is absent; where KubeVirt has a default, build.py fills
it in. Annotations are real types here, not text: decoding a manifest would have to evaluate each.
"""

from typing import Literal

from msgspec import field

from launcher.quantity import Quantity
from launcher.vmi.guest import IOThreadsPolicy
from launcher.vmi.schema_access import AccessCredential, DownwardMetrics, Filesystem, Probe
from launcher.vmi.schema_base import Count, Elsewhere, KubeVirtStruct, Seconds
from launcher.vmi.schema_devices import GPU, HostDevice, VirtualMachineInstanceResourceClaim
from launcher.vmi.schema_machine import (
    Bootloader,
    Chassis,
    Clock,
    CPUFeature,
    Features,
    Input,
    Interface,
    Network,
    PanicDevice,
    Rng,
    SoundDevice,
    TPMDevice,
    VideoDevice,
    Watchdog,
)
from launcher.vmi.schema_pod import PodDNSConfig
from launcher.vmi.schema_storage import Disk, Volume


class ObjectMeta(KubeVirtStruct, frozen=True, kw_only=True):
    """Kubernetes' metadata of an object; the launcher reads name, namespace and annotations."""

    name: str | None = None
    namespace: str | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    generate_name: str | None = None
    # The API server's own.
    uid: Elsewhere = None
    resource_version: Elsewhere = None
    generation: Elsewhere = None
    creation_timestamp: Elsewhere = None
    deletion_timestamp: Elsewhere = None
    deletion_grace_period_seconds: Elsewhere = None
    self_link: Elsewhere = None
    owner_references: Elsewhere = None
    finalizers: Elsewhere = None
    managed_fields: Elsewhere = None


class NUMAGuestMappingPassthrough(KubeVirtStruct, frozen=True, kw_only=True):
    """Its presence asks for it."""


class NUMA(KubeVirtStruct, frozen=True, kw_only=True):
    """The guest's NUMA topology."""

    guest_mapping_passthrough: NUMAGuestMappingPassthrough | None = None


class Realtime(KubeVirtStruct, frozen=True, kw_only=True):
    """Its presence asks for it; `mask` names the vCPUs (realtime.py)."""

    mask: str = ""


class CPU(KubeVirtStruct, frozen=True, kw_only=True):
    """The guest's CPUs."""

    sockets: Count = 0
    cores: Count = 0
    threads: Count = 0
    # A bound on `sockets`, checked; the launcher never adds a socket to a running guest.
    max_sockets: Count = 0
    model: str | None = None
    features: tuple[CPUFeature, ...] = ()
    dedicated_cpu_placement: bool = False
    isolate_emulator_thread: bool = False
    numa: NUMA | None = None
    realtime: Realtime | None = None


class Hugepages(KubeVirtStruct, frozen=True, kw_only=True):
    """The huge pages that back the guest's memory."""

    page_size: Quantity


class ReservedOverhead(KubeVirtStruct, frozen=True, kw_only=True):
    """What the Pod gets beside the memory of guest and launcher; `memLock` raises no limit here."""

    added_overhead: Quantity | None = None
    mem_lock: Literal["NotRequired", "Required"] | None = None


class Memory(KubeVirtStruct, frozen=True, kw_only=True):
    """The guest's memory."""

    guest: Quantity | None = None
    # A bound on `guest`, checked; the launcher never adds memory to a running guest.
    max_guest: Quantity | None = None
    hugepages: Hugepages | None = None
    reserved_overhead: ReservedOverhead | None = None


class ResourceRequirements(KubeVirtStruct, frozen=True, kw_only=True):
    """What the guest asks of Kubernetes; of the resources cpu and memory have a meaning here, too."""

    requests: dict[str, Quantity] = field(default_factory=dict)
    limits: dict[str, Quantity] = field(default_factory=dict)
    # The Pod requests nothing for what there is beside the guest.
    overcommit_guest_overhead: bool = False


class Machine(KubeVirtStruct, frozen=True, kw_only=True):
    """The emulated board."""

    type: str | None = None


class KernelBootContainer(KubeVirtStruct, frozen=True, kw_only=True):
    """Where kernel and initrd lie.

    With an image both are paths inside of it, which the Pod brings along, as it does container disks. Without one they
    are paths where the launcher runs, absolute or relative to its working directory.
    """

    image: str | None = None
    image_pull_secret: str | None = None
    image_pull_policy: Literal["Always", "Never", "IfNotPresent"] | None = None
    kernel_path: str | None = None
    initrd_path: str | None = None


class KernelBoot(KubeVirtStruct, frozen=True, kw_only=True):
    """A kernel that QEMU loads itself."""

    kernel_args: str = ""
    container: KernelBootContainer | None = None


class ACPI(KubeVirtStruct, frozen=True, kw_only=True):
    """Volumes, Secrets both, that hold an ACPI table for Windows' activation: slic.bin or msdm.bin."""

    slic_name_ref: str = ""
    msdm_name_ref: str = ""


class Firmware(KubeVirtStruct, frozen=True, kw_only=True):
    """What the guest starts from."""

    uuid: str | None = None
    serial: str | None = None
    bootloader: Bootloader | None = None
    kernel_boot: KernelBoot | None = None
    acpi: ACPI | None = None


class DiskIOThreads(KubeVirtStruct, frozen=True, kw_only=True):
    """The IOThreads of the policy supplementalPool."""

    supplemental_pool_thread_count: Count | None = None


class ClientPassthroughDevices(KubeVirtStruct, frozen=True, kw_only=True):
    """Its presence asks for sockets through which USB devices of somebody else's machine come."""


class Devices(KubeVirtStruct, frozen=True, kw_only=True):
    """The guest's devices. It has a network card, a screen and a balloon unless they are declined."""

    disks: tuple[Disk, ...] = ()
    filesystems: tuple[Filesystem, ...] = ()
    downward_metrics: DownwardMetrics | None = None
    autoattach_serial_console: bool = True
    log_serial_console: bool | None = None
    interfaces: tuple[Interface, ...] = ()
    inputs: tuple[Input, ...] = ()
    video: VideoDevice | None = None
    sound: SoundDevice | None = None
    rng: Rng | None = None
    tpm: TPMDevice | None = None
    watchdog: Watchdog | None = None
    panic_devices: tuple[PanicDevice, ...] = ()
    client_passthrough: ClientPassthroughDevices | None = None
    gpus: tuple[GPU, ...] = ()
    host_devices: tuple[HostDevice, ...] = ()
    autoattach_graphics_device: bool | None = None
    autoattach_input_device: bool | None = None
    autoattach_mem_balloon: bool | None = None
    autoattach_pod_interface: bool | None = None
    autoattach_vsock: bool | None = field(name="autoattachVSOCK", default=None)
    block_multi_queue: bool = False
    network_interface_multiqueue: bool | None = None
    use_virtio_transitional: bool | None = None
    # Nothing is plugged in here, whatever it says.
    disable_hotplug: bool | None = None


class DomainSpec(KubeVirtStruct, frozen=True, kw_only=True):
    """The virtual machine itself."""

    cpu: CPU = CPU()
    memory: Memory = Memory()
    resources: ResourceRequirements = ResourceRequirements()
    machine: Machine = Machine()
    firmware: Firmware = Firmware()
    chassis: Chassis = Chassis()
    clock: Clock = Clock()
    features: Features = Features()
    io_threads_policy: IOThreadsPolicy | None = None
    io_threads: DiskIOThreads = DiskIOThreads()
    reboot_policy: Literal["Reboot", "Terminate"] | None = None
    devices: Devices = Devices()


class VirtualMachineInstanceSpec(KubeVirtStruct, frozen=True, kw_only=True):
    """A virtual machine, and what Kubernetes is to do with it."""

    domain: DomainSpec
    volumes: tuple[Volume, ...] = ()
    networks: tuple[Network, ...] = ()
    hostname: str = ""
    subdomain: str = ""
    resource_claims: tuple[VirtualMachineInstanceResourceClaim, ...] = ()
    architecture: Literal["amd64", "arm64"] | None = None
    termination_grace_period_seconds: Seconds | None = None
    start_strategy: Literal["Paused"] | None = None
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    access_credentials: tuple[AccessCredential, ...] = ()
    dns_policy: Literal["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None", ""] = ""
    dns_config: PodDNSConfig | None = None
    # Where the Pod runs and as whom: Kubernetes' own structures, which go into the Pod as they are.
    node_selector: dict[str, str] = field(default_factory=dict)
    affinity: dict[str, object] | None = None
    tolerations: tuple[dict[str, object], ...] = ()
    topology_spread_constraints: tuple[dict[str, object], ...] = ()
    scheduler_name: str = ""
    priority_class_name: str = ""
    service_account_name: str = ""
    # KubeVirt's controllers act on it when a node is drained.
    eviction_strategy: Elsewhere = None


class VirtualMachineInstance(KubeVirtStruct, frozen=True, kw_only=True):
    """A running virtual machine, or one that is to run."""

    spec: VirtualMachineInstanceSpec
    api_version: Literal["kubevirt.io/v1", "kubevirt.io/v1alpha3"]
    kind: Literal["VirtualMachineInstance"]
    metadata: ObjectMeta = ObjectMeta()
    # Reported by KubeVirt, wished by nobody.
    status: Elsewhere = None


class VirtualMachineInstanceTemplateSpec(KubeVirtStruct, frozen=True, kw_only=True):
    """What a VirtualMachine makes its instance from; the name and namespace are the VirtualMachine's."""

    spec: VirtualMachineInstanceSpec
    metadata: ObjectMeta = ObjectMeta()


class InstancetypeMatcher(KubeVirtStruct, frozen=True, kw_only=True):
    """Which instancetype a machine has (launcher/instancetype/find.py)."""

    name: str = ""
    kind: str = ""
    revision_name: str = ""
    infer_from_volume: str = ""
    infer_from_volume_failure_policy: Literal["Ignore", "Reject"] | None = None


class PreferenceMatcher(InstancetypeMatcher, frozen=True, kw_only=True):
    """Which preference a machine has."""


class VirtualMachineSpec(KubeVirtStruct, frozen=True, kw_only=True):
    """When a virtual machine runs, which is the controllers' affair, and what it is like."""

    template: VirtualMachineInstanceTemplateSpec
    # Checked, and acted on by KubeVirt's controllers alone.
    running: bool | None = None
    run_strategy: Literal["Always", "Halted", "Manual", "Once", "RerunOnFailure", "WaitAsReceiver"] | None = None
    # KubeVirt makes these volumes before the Pod starts; the guest's own volumes are named in the template.
    data_volume_templates: Elsewhere = None
    update_volumes_strategy: Elsewhere = None
    # Applied before the template is decoded.
    instancetype: InstancetypeMatcher | None = None
    preference: PreferenceMatcher | None = None


class VirtualMachine(KubeVirtStruct, frozen=True, kw_only=True):
    """A virtual machine that may be stopped; its template is what runs."""

    spec: VirtualMachineSpec
    api_version: Literal["kubevirt.io/v1", "kubevirt.io/v1alpha3"]
    kind: Literal["VirtualMachine"]
    metadata: ObjectMeta = ObjectMeta()
    status: Elsewhere = None
