"""The part of KubeVirt's API that this program acts on, as frozen structures with KubeVirt's own type names.

Source: kubevirt.io/api/core/v1, schema.go and types.go. What is here is supported, and nothing that is not: a field of
KubeVirt that is missing here is refused as "not supported" (kubevirt_fields.py knows their names).

Fields of type `Elsewhere` are the one exception: they are accepted and change nothing in the guest, because somebody
else has acted on them before or will afterwards: the API server (metadata, status), the scheduler (nodeSelector,
affinity, ...) or KubeVirt's controllers (evictionStrategy, runStrategy, ...). The launcher neither could nor should.

Toggles of which only one value is true of this program are `Literal`: `autoattachPodInterface: false` is what the
guest gets, `true` is refused. A field with the default None is absent; where KubeVirt has a default, build.py fills
it in. Annotations are real types here, not text: decoding a manifest would have to evaluate each.
"""

from typing import Literal

from msgspec import field

from launcher.quantity import Quantity
from launcher.vmi.guest import IOThreadsPolicy
from launcher.vmi.schema_base import Count, Elsewhere, KubeVirtStruct, Seconds
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
from launcher.vmi.schema_storage import Disk, Volume


class ObjectMeta(KubeVirtStruct, frozen=True, kw_only=True):
    """Kubernetes' metadata of an object; the launcher reads name, namespace and annotations."""

    name: str | None = None
    namespace: str | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    # The API server's own.
    generate_name: Elsewhere = None
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


class Memory(KubeVirtStruct, frozen=True, kw_only=True):
    """The guest's memory."""

    guest: Quantity | None = None
    hugepages: Hugepages | None = None


class ResourceRequirements(KubeVirtStruct, frozen=True, kw_only=True):
    """What the guest asks of Kubernetes; of the resources cpu and memory have a meaning here, too."""

    requests: dict[str, Quantity] = field(default_factory=dict)
    limits: dict[str, Quantity] = field(default_factory=dict)


class Machine(KubeVirtStruct, frozen=True, kw_only=True):
    """The emulated board."""

    type: str | None = None


class KernelBootContainer(KubeVirtStruct, frozen=True, kw_only=True):
    """Where kernel and initrd lie.

    KubeVirt copies them out of an image; here no image is pulled: both are paths where the launcher runs, absolute or
    relative to its working directory.
    """

    kernel_path: str | None = None
    initrd_path: str | None = None


class KernelBoot(KubeVirtStruct, frozen=True, kw_only=True):
    """A kernel that QEMU loads itself."""

    kernel_args: str = ""
    container: KernelBootContainer | None = None


class Firmware(KubeVirtStruct, frozen=True, kw_only=True):
    """What the guest starts from."""

    uuid: str | None = None
    serial: str | None = None
    bootloader: Bootloader | None = None
    kernel_boot: KernelBoot | None = None


class DiskIOThreads(KubeVirtStruct, frozen=True, kw_only=True):
    """The IOThreads of the policy supplementalPool."""

    supplemental_pool_thread_count: Count | None = None


class Devices(KubeVirtStruct, frozen=True, kw_only=True):
    """The guest's devices. The guest has no network, graphics, tablet, balloon or vsock unless one is asked for."""

    disks: tuple[Disk, ...] = ()
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
    autoattach_graphics_device: bool | None = None
    autoattach_input_device: bool | None = None
    autoattach_mem_balloon: bool | None = None
    autoattach_pod_interface: Literal[False] | None = None
    autoattach_vsock: bool | None = field(name="autoattachVSOCK", default=None)
    block_multi_queue: bool = False
    network_interface_multiqueue: bool | None = None
    use_virtio_transitional: Literal[False] | None = None
    disable_hotplug: Literal[True] | None = None


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
    devices: Devices = Devices()


class VirtualMachineInstanceSpec(KubeVirtStruct, frozen=True, kw_only=True):
    """A virtual machine, and what Kubernetes is to do with it."""

    domain: DomainSpec
    volumes: tuple[Volume, ...] = ()
    networks: tuple[Network, ...] = ()
    architecture: Literal["amd64", "arm64"] | None = None
    termination_grace_period_seconds: Seconds | None = None
    # Consumed when the Pod was made and scheduled.
    node_selector: Elsewhere = None
    affinity: Elsewhere = None
    tolerations: Elsewhere = None
    topology_spread_constraints: Elsewhere = None
    scheduler_name: Elsewhere = None
    priority_class_name: Elsewhere = None
    service_account_name: Elsewhere = None
    # KubeVirt's controllers act on it when a node is drained.
    eviction_strategy: Elsewhere = None


class VirtualMachineInstance(KubeVirtStruct, frozen=True, kw_only=True):
    """A running virtual machine, or one that is to run."""

    spec: VirtualMachineInstanceSpec
    api_version: Literal["kubevirt.io/v1"]
    kind: Literal["VirtualMachineInstance"]
    metadata: ObjectMeta = ObjectMeta()
    # Reported by KubeVirt, wished by nobody.
    status: Elsewhere = None


class VirtualMachineInstanceTemplateSpec(KubeVirtStruct, frozen=True, kw_only=True):
    """What a VirtualMachine makes its instance from; the name and namespace are the VirtualMachine's."""

    spec: VirtualMachineInstanceSpec
    metadata: ObjectMeta = ObjectMeta()


class VirtualMachineSpec(KubeVirtStruct, frozen=True, kw_only=True):
    """When a virtual machine runs, which is the controllers' affair, and what it is like."""

    template: VirtualMachineInstanceTemplateSpec
    running: Elsewhere = None
    run_strategy: Elsewhere = None
    # KubeVirt makes these volumes before the Pod starts; the guest's own volumes are named in the template.
    data_volume_templates: Elsewhere = None
    update_volumes_strategy: Elsewhere = None


class VirtualMachine(KubeVirtStruct, frozen=True, kw_only=True):
    """A virtual machine that may be stopped; its template is what runs."""

    spec: VirtualMachineSpec
    api_version: Literal["kubevirt.io/v1"]
    kind: Literal["VirtualMachine"]
    metadata: ObjectMeta = ObjectMeta()
    status: Elsewhere = None
