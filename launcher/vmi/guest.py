"""The guest that a manifest asks for, as frozen values that the planner and the domain renderer read."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, field

from launcher.vmi.guest_machine import Board, CPUFeature, Peripherals
from launcher.vmi.guest_storage import BlockSize, CacheMode, ErrorPolicy, IOMode, Volume


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
    # The vCPUs that run under SCHED_FIFO; None where the guest is not realtime.
    realtime_vcpus: frozenset[int] | None = None
    features: tuple[CPUFeature, ...] = ()


class IOThreadDemand(Struct, frozen=True, kw_only=True):
    """What the manifest says of IOThreads; `cpu_count` is requests.cpu, else limits.cpu, else N, rounded up."""

    policy: IOThreadsPolicy | None = None
    pool_count: int = 0
    cpu_count: int = 1


class GuestMemory(Struct, frozen=True, kw_only=True):
    """The guest's memory; `huge_page_bytes` is None where it is not backed by huge pages."""

    guest_bytes: int
    huge_page_bytes: int | None = None


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
    # A virtio disk's, where block multi-queue is asked for.
    queues: int | None = None


class KernelBoot(Struct, frozen=True, kw_only=True):
    """A kernel that QEMU loads itself; paths on the host, arguments as one string."""

    kernel: str
    initrd: str | None = None
    arguments: str = ""


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
    uuid: str | None = None
    machine: str | None = None
    firmware: Firmware = Firmware.BIOS
    board: Board = field(default_factory=Board)
    peripherals: Peripherals = field(default_factory=Peripherals)
    io_threads: IOThreadDemand = field(default_factory=IOThreadDemand)
    disks: tuple[Disk, ...] = ()
    kernel_boot: KernelBoot | None = None
    serial: SerialConsole = field(default_factory=SerialConsole)
    # Seconds between the request to shut down and the end by force; None leaves it to the command line.
    grace_period_s: int | None = None
