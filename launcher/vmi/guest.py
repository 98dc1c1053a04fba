"""The guest that a manifest asks for, as frozen values that the planner and the domain renderer read."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

from msgspec import Struct, field

from launcher.vmi.guest_devices import DeviceRequest
from launcher.vmi.guest_machine import Board, CPUFeature, GuestProbe, Peripherals
from launcher.vmi.guest_storage import (
    AgentKeys,
    AgentPasswords,
    BesideObject,
    BlockSize,
    CacheMode,
    ErrorPolicy,
    IOMode,
    SharedFolder,
    Volume,
)

_MIB = 1 << 20


class IOThreadsPolicy(StrEnum):
    """`spec.domain.ioThreadsPolicy`."""

    SHARED = "shared"
    AUTO = "auto"
    SUPPLEMENTAL_POOL = "supplementalPool"


class DiskBus(StrEnum):
    """`disks[].disk.bus` and its siblings."""

    VIRTIO = "virtio"
    SCSI = "scsi"
    SATA = "sata"
    USB = "usb"


# What QEMU's devices tell the guest of a serial: VIRTIO_BLK_ID_BYTES, the words 10 to 19 of ATA's IDENTIFY, and
# MAX_SERIAL_LEN of hw/scsi/scsi-disk.c, which takes no longer one; the others cut the rest off in silence.
LONGEST_SERIALS = {DiskBus.VIRTIO: 20, DiskBus.SATA: 20, DiskBus.SCSI: 36, DiskBus.USB: 36}
CUT_SERIALS = (DiskBus.VIRTIO, DiskBus.SATA)


class DiskDevice(StrEnum):
    """Which of `disk`, `cdrom` and `lun` a disk is."""

    DISK = "disk"
    CDROM = "cdrom"
    LUN = "lun"


class ImageFormat(StrEnum):
    """How the bytes of an image are laid out; read from the image itself, for no manifest says it."""

    RAW = "raw"
    QCOW2 = "qcow2"


class Firmware(StrEnum):
    """`spec.domain.firmware.bootloader`."""

    BIOS = "bios"
    EFI = "efi"


class Topology(Struct, frozen=True, kw_only=True):
    """What the guest sees; vCPU ids run threads first, then cores, then sockets."""

    sockets: int = 1
    cores: int = 1
    threads: int = 1

    @property
    def vcpus(self) -> int:
        """The number of vCPUs."""
        return self.sockets * self.cores * self.threads


class GuestCPU(Struct, frozen=True, kw_only=True):
    """The guest's CPUs, and how they want to be placed."""

    topology: Topology
    model: str | None = None
    dedicated: bool = False
    isolate_emulator_thread: bool = False
    # The annotation alpha.kubevirt.io/EmulatorThreadCompleteToEvenParity is present.
    emulator_even_parity: bool = False
    numa_passthrough: bool = False
    # What the manifest would let it grow to, where that is more than it has.
    max_sockets: int | None = None
    # The vCPUs that run under SCHED_FIFO; None where the guest is not realtime.
    realtime_vcpus: frozenset[int] | None = None
    features: tuple[CPUFeature, ...] = ()
    # Those of a guest with dedicated CPUs that have none, whole guest cores, and how many CPUs they have together.
    shared_vcpus: frozenset[int] = frozenset()
    shared_cpus: int = 0
    # CPUs for vhost's threads alone; with 0 they run with the emulator.
    vhost_cpus: int = 0

    @property
    def placed_vcpus(self) -> tuple[int, ...]:
        """The vCPUs that have a CPU of their own where CPUs are dedicated, ascending."""
        return tuple(vcpu for vcpu in range(self.topology.vcpus) if vcpu not in self.shared_vcpus)

    @property
    def placed_topology(self) -> Topology:
        """The topology of these alone: as many guest cores of each guest socket, else one socket of them all."""
        if not self.shared_vcpus:
            return self.topology
        size = self.topology.cores * self.topology.threads
        sockets = Counter(vcpu // size for vcpu in self.placed_vcpus)
        threads = self.topology.threads
        if len(set(sockets.values())) == 1:
            return Topology(
                sockets=len(sockets), cores=len(self.placed_vcpus) // len(sockets) // threads, threads=threads
            )
        return Topology(sockets=1, cores=len(self.placed_vcpus) // threads, threads=threads)


class IOThreadDemand(Struct, frozen=True, kw_only=True):
    """What the manifest says of IOThreads; `cpu_count` is requests.cpu, else limits.cpu, else 1, rounded up."""

    policy: IOThreadsPolicy | None = None
    pool_count: int = 0
    # The size of a pool is given, and no policy that has one.
    has_spare_count: bool = False
    cpu_count: int = 1


class GuestMemory(Struct, frozen=True, kw_only=True):
    """The guest's memory; `huge_page_bytes` is None where it is not backed by huge pages."""

    guest_bytes: int
    huge_page_bytes: int | None = None
    # Likewise.
    max_guest_bytes: int | None = None
    # limits.memory, where the guest has more.
    lower_limit_bytes: int | None = None
    # What the manifest adds to the Pod's memory beside what guest and launcher need.
    reserved_bytes: int = 0
    is_lock_wanted: bool = False

    @property
    def unit_bytes(self) -> int:
        """What the memory is dealt out in: huge pages, else as much as a transparent huge page or, for a guest that is
        no whole number of these, a mebibyte, to which libvirt rounds the memory of each cell up."""
        if self.huge_page_bytes is not None:
            return self.huge_page_bytes
        return _MIB if self.guest_bytes % (2 * _MIB) else 2 * _MIB


class Disk(Struct, frozen=True, kw_only=True):
    """One disk of the guest, in the order of the manifest, and what is behind it.

    `path` is a hostDisk's file; of any other volume it is "" and `volume` says what it is. Where its bytes are on a
    machine is found when the guest is started (launcher/storage).
    """

    name: str
    path: str = ""
    bus: DiskBus = DiskBus.VIRTIO
    device: DiskDevice = DiskDevice.DISK
    readonly: bool = False
    dedicated_iothread: bool = False
    boot_order: int | None = None
    # A hostDisk of type DiskOrCreate: made as a sparse raw file of this size where the path does not exist.
    create_bytes: int | None = None
    volume: Volume | None = None
    serial: str | None = None
    # None leaves it to what the file can do: none where it can be read past the host's cache, else writethrough.
    cache: CacheMode | None = None
    io: IOMode | None = None
    error_policy: ErrorPolicy = ErrorPolicy.STOP
    shareable: bool = False
    block_size: BlockSize | None = None
    # The block size is the volume's (blockSize.matchVolume).
    matches_volume: bool = False
    # A CD-ROM drive without a disc: there is no volume.
    is_empty: bool = False
    # A virtio disk's, where block multi-queue is asked for.
    queues: int | None = None
    # KubeVirt tells no guest of it.
    tag: str = ""
    # A lun whose persistent reservations a helper beside QEMU makes.
    is_reserved: bool = False
    # A CD-ROM that the manifest calls writable: libvirt knows better.
    is_called_writable: bool = False
    # A CD-ROM whose tray is said to be open.
    is_open: bool = False
    # What has changed in it is to be kept track of for backups, which nobody makes here.
    is_tracked: bool = False
    # Where the guest is to see a virtio disk on its PCI bus, such as 0000:07:00.0.
    guest_address: str | None = None


class KernelBoot(Struct, frozen=True, kw_only=True):
    """A kernel that QEMU loads itself; paths on the host, or in a container image, arguments as one string."""

    kernel: str
    image: str | None = None
    initrd: str | None = None
    arguments: str = ""


class TableKind(StrEnum):
    """The ACPI tables that a manifest may bring, by libvirt's names: licences of Windows."""

    SLIC = "slic"
    MSDM = "msdm"


class ACPITable(Struct, frozen=True, kw_only=True):
    """An ACPI table: the file that its kind names (slic.bin) of a volume that is a Secret."""

    kind: TableKind
    volume: str
    object_name: str

    @property
    def file(self) -> str:
        """The name of the table's file in the Secret."""
        return f"{self.kind}.bin"


class SerialConsole(Struct, frozen=True, kw_only=True):
    """The guest's first serial port; `logged` copies it to the launcher's output."""

    attached: bool = True
    logged: bool = True


class Guest(Struct, frozen=True, kw_only=True):
    """One guest: everything that the manifest asks for, checked, with defaults filled in."""

    name: str
    cpu: GuestCPU
    memory: GuestMemory
    namespace: str = "default"
    # The kernel's name of the guest's architecture: spec.architecture, else the host's.
    arch: str = "x86_64"
    # What cloud-init calls it, where that is not its name.
    hostname: str | None = None
    uuid: str | None = None
    machine: str | None = None
    firmware: Firmware = Firmware.BIOS
    board: Board = field(default_factory=Board)
    peripherals: Peripherals = field(default_factory=Peripherals)
    io_threads: IOThreadDemand = field(default_factory=IOThreadDemand)
    disks: tuple[Disk, ...] = ()
    host_devices: tuple[DeviceRequest, ...] = ()
    shared_folders: tuple[SharedFolder, ...] = ()
    credentials: tuple[AgentKeys | AgentPasswords, ...] = ()
    beside: tuple[BesideObject, ...] = ()
    # A virtio port over which the guest asks for vhostmd's figures.
    has_metrics_port: bool = False
    readiness: GuestProbe | None = None
    liveness: GuestProbe | None = None
    kernel_boot: KernelBoot | None = None
    # The text that the annotation for Ignition has.
    ignition: str = ""
    acpi_tables: tuple[ACPITable, ...] = ()
    serial: SerialConsole = field(default_factory=SerialConsole)
    # Seconds between the request to shut down and the end by force; None leaves it to the command line.
    grace_period_s: int | None = None
    # It stands still after its proof until somebody has it go on.
    starts_paused: bool = False

    def files_beside(self, name: str | None, *kinds: str) -> tuple[tuple[str, bytes], ...] | None:
        """Return the files of an object of one of these kinds that stands beside the machine; None where none does."""
        found = (one.files for one in self.beside if one.kind in kinds and one.name == name)
        return next(found, None)

    @property
    def has_ignition(self) -> bool:
        """Whether Ignition finds data; a text without its name KubeVirt hands to no guest (compute/qemu_cmd.go)."""
        return "ignition" in self.ignition

    @property
    def filled_disks(self) -> tuple[Disk, ...]:
        """The disks that have a volume: all but empty CD-ROM drives."""
        return tuple(disk for disk in self.disks if not disk.is_empty)
