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


class HpetTickPolicy(StrEnum):
    """What the high precision timer does with ticks that the guest missed; libvirt heeds none of it."""

    DELAY = "delay"
    CATCHUP = "catchup"
    MERGE = "merge"
    DISCARD = "discard"


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
    """The network cards that KubeVirt knows."""

    VIRTIO = "virtio"
    E1000E = "e1000e"
    E1000 = "e1000"
    # QEMU has it from 8.0 on, libvirt from 9.3.
    IGB = "igb"
    RTL8139 = "rtl8139"
    NE2K_PCI = "ne2k_pci"
    PCNET = "pcnet"


class InterfaceBackend(StrEnum):
    """What carries a network card's packets.

    `pod`: whatever leads into the Pod's network without privilege where the guest is started, passt or else slirp.
    """

    POD = "pod"
    SLIRP = "slirp"
    PASST = "passt"
    BRIDGE = "bridge"
    TAP = "tap"


# Those by which a guest is behind the Pod's address; each has one queue.
USER_NETWORKING = (InterfaceBackend.POD, InterfaceBackend.PASST, InterfaceBackend.SLIRP)


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
    """`devices.panicDevices[].model`."""

    ISA = "isa"
    HYPERV = "hyperv"
    # On the PCI bus; libvirt has it from 9.1 on.
    PVPANIC = "pvpanic"


class CPUFeature(Struct, frozen=True, kw_only=True):
    """One feature of the guest's CPU."""

    name: str
    policy: FeaturePolicy = FeaturePolicy.REQUIRE


class Timers(Struct, frozen=True, kw_only=True):
    """The guest's timers; what is None is as the template and QEMU have it."""

    hpet: bool | None = None
    hpet_tick: HpetTickPolicy | None = None
    kvmclock: bool | None = None
    hypervclock: bool | None = None
    has_pit: bool | None = None
    pit: PitTickPolicy | None = None
    has_rtc: bool | None = None
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
    # What some of them have beside: the enlightenment, the part, and whether it is on.
    parts: tuple[tuple[str, str, bool], ...] = ()
    # All that the host's KVM has, whatever that is.
    is_passed_through: bool = False


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
    # No window for devices above 4 GiB: some 32-bit guests do not start with one.
    without_wide_windows: bool = False
    # What becomes of a guest that reboots; None leaves it to the template.
    ends_at_reboot: bool | None = None
    # BIOS only: its messages go to the serial console.
    prints_on_serial: bool = False


class Port(Struct, frozen=True, kw_only=True):
    """A port that is forwarded into the guest."""

    port: int
    protocol: Protocol = Protocol.TCP


class Attachment(Struct, frozen=True, kw_only=True):
    """A network that Multus attaches to the launcher's Pod, by its NetworkAttachmentDefinition.

    `devices` are the names that the network's device may have there, the one that our own Pod asks for first.
    """

    namespace: str | None
    name: str
    devices: tuple[str, ...]

    @property
    def qualified_name(self) -> str:
        """The definition's name as a manifest has it."""
        return self.name if self.namespace is None else f"{self.namespace}/{self.name}"


class Interface(Struct, frozen=True, kw_only=True):
    """A network card, in the order of the manifest.

    `device` is the bridge or the tap that it is connected to, or whose address passt takes. Of a card on an attachment
    it is None until that is looked for (launcher/network), and what is found there decides the backend, too.
    """

    name: str
    backend: InterfaceBackend
    device: str | None = None
    attachment: Attachment | None = None
    model: InterfaceModel = InterfaceModel.VIRTIO
    mac: str | None = None
    # Pairs of queues; 1 leaves it to libvirt.
    queues: int = 1
    ports: tuple[Port, ...] = ()
    # What the guest sees of the network behind the Pod's address, such as 10.0.2.0/24, where it is not left to that.
    subnets: tuple[str, ...] = ()
    boot_order: int | None = None
    acpi_index: int | None = None
    # Where the guest is to see it on its PCI bus, such as 0000:07:00.0.
    guest_address: str | None = None
    is_up: bool = True
    # Options were wished for that no DHCP server here gives.
    wants_options: bool = False
    # By OpenShift's plugin for user-defined networks.
    is_l2_bridge: bool = False
    # What its guest is told of it on a config drive.
    tag: str = ""


class HTTPRequest(Struct, frozen=True, kw_only=True, tag=True):
    """A request that the guest answers with a status from 200 to 399; `host` None is the guest behind this Pod."""

    port: int
    host: str | None = None
    path: str = "/"
    is_encrypted: bool = False
    headers: tuple[tuple[str, str], ...] = ()


class TCPConnection(Struct, frozen=True, kw_only=True, tag=True):
    """A connection that the guest takes."""

    port: int
    host: str | None = None


class AgentExec(Struct, frozen=True, kw_only=True, tag=True):
    """A command that the guest's agent runs, and that ends with status 0."""

    command: tuple[str, ...]


class AgentPing(Struct, frozen=True, kw_only=True, tag=True):
    """A word that the guest's agent answers."""


class GuestProbe(Struct, frozen=True, kw_only=True):
    """What tells whether the guest is ready, or lives; how often it is asked is the kubelet's to keep."""

    ask: HTTPRequest | TCPConnection | AgentExec | AgentPing
    delay_s: int = 0
    timeout_s: int = 1
    period_s: int = 10
    successes: int = 1
    failures: int = 3


class Tablet(Struct, frozen=True, kw_only=True):
    """A pointing device with absolute coordinates."""

    bus: InputBus = InputBus.USB


class Balloon(Struct, frozen=True, kw_only=True):
    """The device by which the guest gives memory back; `is_asked_for`: the manifest says so, and not only KubeVirt."""

    reports_free_pages: bool = False
    is_asked_for: bool = False


class Video(Struct, frozen=True, kw_only=True):
    """The graphics card; `memory_kib` None leaves its memory to libvirt."""

    model: VideoModel
    memory_kib: int | None = None


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
    # A keyboard on USB: boards other than the PC have none of their own.
    has_keyboard: bool = False
    sound: SoundModel | None = None
    tpm: TPM | None = None
    # It comes with a VNC server on a unix socket.
    video: Video | None = None
    has_vsock: bool = False
    # virtio devices speak the old protocol, too, for guests that know no other.
    is_transitional: bool = False
    panics: tuple[PanicModel, ...] = ()
    # Sockets through which USB devices of somebody else's machine come.
    has_usb_redirection: bool = False
