"""The guest's machine beside CPU, memory and disks: clock, features, firmware and devices, as frozen values.

msgspec structures, as the schema's are: defining one takes 10 us, a dataclass 500, and there are many.
"""

from enum import StrEnum

from msgspec import Struct


class FeaturePolicy(StrEnum):
    """`cpu.features[].policy`, in libvirt's words."""

    FORCE = "force"
    REQUIRE = "require"
    OPTIONAL = "optional"
    DISABLE = "disable"
    FORBID = "forbid"


class PitTickPolicy(StrEnum):
    """What the interval timer does with ticks that the guest missed."""

    DELAY = "delay"
    CATCHUP = "catchup"
    DISCARD = "discard"


class RtcTickPolicy(StrEnum):
    """What the real-time clock does with ticks that the guest missed."""

    DELAY = "delay"
    CATCHUP = "catchup"


class RtcTrack(StrEnum):
    """What the real-time clock follows: the time that the guest ran, or the wall's."""

    GUEST = "guest"
    WALL = "wall"


class InterfaceModel(StrEnum):
    """The network cards that QEMU 7.2 emulates of those that KubeVirt knows."""

    VIRTIO = "virtio"
    E1000E = "e1000e"
    E1000 = "e1000"
    RTL8139 = "rtl8139"
    NE2K_PCI = "ne2k_pci"
    PCNET = "pcnet"


class InterfaceBackend(StrEnum):
    """What carries a network card's packets."""

    SLIRP = "slirp"
    PASST = "passt"
    BRIDGE = "bridge"
    TAP = "tap"


class Protocol(StrEnum):
    """A protocol whose ports are forwarded."""

    TCP = "tcp"
    UDP = "udp"


class InputBus(StrEnum):
    """The bus of a tablet."""

    USB = "usb"
    VIRTIO = "virtio"


class SoundModel(StrEnum):
    """`devices.sound.model`."""

    ICH9 = "ich9"
    AC97 = "ac97"


class WatchdogAction(StrEnum):
    """What happens to a guest that does not feed its watchdog."""

    POWEROFF = "poweroff"
    RESET = "reset"
    SHUTDOWN = "shutdown"


class VideoModel(StrEnum):
    """`devices.video.type`."""

    VGA = "vga"
    VIRTIO = "virtio"
    BOCHS = "bochs"
    CIRRUS = "cirrus"
    RAMFB = "ramfb"


class PanicModel(StrEnum):
    """`devices.panicDevices[].model`, as far as libvirt 9.0 knows them."""

    ISA = "isa"
    HYPERV = "hyperv"


class CPUFeature(Struct, frozen=True, kw_only=True):
    """One feature of the guest's CPU."""

    name: str
    policy: FeaturePolicy = FeaturePolicy.REQUIRE


class Timers(Struct, frozen=True, kw_only=True):
    """The guest's timers; what is None is as the template and QEMU have it."""

    hpet: bool | None = None
    kvmclock: bool | None = None
    hypervclock: bool | None = None
    pit: PitTickPolicy | None = None
    rtc: RtcTickPolicy | None = None
    rtc_track: RtcTrack | None = None


class Clock(Struct, frozen=True, kw_only=True):
    """What time the guest's clock shows: UTC plus so many seconds, or a zone's; both None is as the template has it."""

    offset_s: int | None = None
    timezone: str | None = None
    timers: Timers = Timers()


class Hyperv(Struct, frozen=True, kw_only=True):
    """The enlightenments for Windows by libvirt's names, on or off, and those that have a value when they are on."""

    states: tuple[tuple[str, bool], ...] = ()
    spinlock_retries: int | None = None
    vendor_id: str | None = None
    direct_timer: bool | None = None


class Features(Struct, frozen=True, kw_only=True):
    """What the board and the hypervisor offer; None is as the template has it."""

    acpi: bool | None = None
    apic: bool | None = None
    end_of_interrupt: bool = False
    hyperv: Hyperv | None = None
    kvm_hidden: bool | None = None
    pvspinlock: bool | None = None
    smm: bool | None = None


class Chassis(Struct, frozen=True, kw_only=True):
    """What SMBIOS says of the case; "" is left out."""

    manufacturer: str = ""
    version: str = ""
    serial: str = ""
    asset: str = ""
    sku: str = ""


class Board(Struct, frozen=True, kw_only=True):
    """The board: its clock, its features, what its firmware says and keeps."""

    clock: Clock = Clock()
    features: Features = Features()
    # SMBIOS: the system's serial number and the case's particulars.
    serial_number: str | None = None
    chassis: Chassis = Chassis()
    # UEFI only: the firmware starts only what is signed.
    secure_boot: bool = False
    # UEFI only: the variables are those of the last run over the same root.
    keeps_variables: bool = False
    # BIOS only: its messages go to the serial console.
    prints_on_serial: bool = False


class Port(Struct, frozen=True, kw_only=True):
    """A port that is forwarded into the guest."""

    port: int
    protocol: Protocol = Protocol.TCP


class Interface(Struct, frozen=True, kw_only=True):
    """A network card, in the order of the manifest; `device` is the bridge or the tap that it is connected to."""

    name: str
    backend: InterfaceBackend
    device: str | None = None
    model: InterfaceModel = InterfaceModel.VIRTIO
    mac: str | None = None
    # Pairs of queues; 1 leaves it to libvirt.
    queues: int = 1
    ports: tuple[Port, ...] = ()
    boot_order: int | None = None
    acpi_index: int | None = None
    is_up: bool = True


class Tablet(Struct, frozen=True, kw_only=True):
    """A pointing device with absolute coordinates."""

    bus: InputBus = InputBus.USB


class Balloon(Struct, frozen=True, kw_only=True):
    """The device by which the guest gives memory back."""

    reports_free_pages: bool = False


class TPM(Struct, frozen=True, kw_only=True):
    """A TPM 2.0, emulated by swtpm; `persistent`: its state is that of the last run over the same root."""

    persistent: bool = False


class Peripherals(Struct, frozen=True, kw_only=True):
    """The devices beside disks and the serial console; the guest agent's channel is always there."""

    interfaces: tuple[Interface, ...] = ()
    has_rng: bool = False
    watchdog: WatchdogAction | None = None
    balloon: Balloon | None = None
    tablets: tuple[Tablet, ...] = ()
    sound: SoundModel | None = None
    tpm: TPM | None = None
    # The graphics card; it comes with a VNC server on a unix socket.
    video: VideoModel | None = None
    has_vsock: bool = False
    panics: tuple[PanicModel, ...] = ()
