"""The part of the schema that describes the machine around the disks: CPU features, clock, features, firmware, devices.

Source: kubevirt.io/api/core/v1, schema.go. The rules of schema.py hold here, too: what is here is rendered, what is
missing is refused by name.
"""

from typing import Annotated, Literal

from msgspec import Meta, field

from launcher.vmi.guest_machine import (
    FeaturePolicy,
    HpetTickPolicy,
    InterfaceModel,
    PanicModel,
    PitTickPolicy,
    RtcTickPolicy,
    RtcTrack,
    SoundModel,
    VideoModel,
    WatchdogAction,
)
from launcher.vmi.schema_base import BootOrder, Count, FeatureState, KubeVirtStruct

# Two days and a bit: more is another date, not another time of day, and libvirt counts in a signed long.
Offset = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1, description="a number of seconds")]
PortNumber = Annotated[int, Meta(ge=1, le=65535, description="a port from 1 to 65535")]
# QEMU's ONBOARD_INDEX_MAX (hw/acpi/pcihp.c); 0 is as absent.
ACPIIndex = Annotated[int, Meta(ge=0, le=16383, description="an ACPI index from 1 to 16383")]


class CPUFeature(KubeVirtStruct, frozen=True, kw_only=True):
    """A feature of the CPU that the guest must have, may have or must not have."""

    name: str
    policy: FeaturePolicy | None = None


class FeatureAPIC(KubeVirtStruct, frozen=True, kw_only=True):
    """The interrupt controller."""

    enabled: bool = True
    end_of_interrupt: bool = False


class FeatureSpinlocks(KubeVirtStruct, frozen=True, kw_only=True):
    """How often a vCPU spins before it tells the hypervisor."""

    enabled: bool = True
    # Go's field is called Retries, the manifest's spinlocks.
    retries: Count | None = field(name="spinlocks", default=None)


class FeatureVendorID(KubeVirtStruct, frozen=True, kw_only=True):
    """The name by which the hypervisor introduces itself."""

    enabled: bool = True
    vendor_id: str | None = field(name="vendorid", default=None)


class SyNICTimer(KubeVirtStruct, frozen=True, kw_only=True):
    """The timers of the synthetic interrupt controller."""

    enabled: bool = True
    direct: FeatureState | None = None


class TLBFlush(KubeVirtStruct, frozen=True, kw_only=True):
    """Flushes of the TLB that the hypervisor does, for part of it or for a hypervisor inside of the guest, too."""

    enabled: bool = True
    direct: FeatureState | None = None
    extended: FeatureState | None = None


class FeatureHyperv(KubeVirtStruct, frozen=True, kw_only=True):
    """What Windows expects of a hypervisor."""

    relaxed: FeatureState | None = None
    vapic: FeatureState | None = None
    spinlocks: FeatureSpinlocks | None = None
    vpindex: FeatureState | None = None
    runtime: FeatureState | None = None
    synic: FeatureState | None = None
    synictimer: SyNICTimer | None = None
    reset: FeatureState | None = None
    vendorid: FeatureVendorID | None = None
    frequencies: FeatureState | None = None
    reenlightenment: FeatureState | None = None
    tlbflush: TLBFlush | None = None
    ipi: FeatureState | None = None
    evmcs: FeatureState | None = None


class HyperVPassthrough(KubeVirtStruct, frozen=True, kw_only=True):
    """Whether the guest has every enlightenment that the host's KVM has; one that says nothing is refused."""

    enabled: bool | None = None


class FeatureKVM(KubeVirtStruct, frozen=True, kw_only=True):
    """Whether KVM shows itself to the guest."""

    hidden: bool = False


class Features(KubeVirtStruct, frozen=True, kw_only=True):
    """What the board and the hypervisor offer to the guest; one that is absent is as the template has it."""

    acpi: FeatureState | None = None
    apic: FeatureAPIC | None = None
    hyperv: FeatureHyperv | None = None
    hyperv_passthrough: HyperVPassthrough | None = None
    kvm: FeatureKVM | None = None
    pvspinlock: FeatureState | None = None
    smm: FeatureState | None = None


class ClockOffsetUTC(KubeVirtStruct, frozen=True, kw_only=True):
    """The guest's clock is UTC, or so many seconds beside it."""

    offset_seconds: Offset | None = None


class HPETTimer(KubeVirtStruct, frozen=True, kw_only=True):
    """The high precision event timer; libvirt takes a tick policy of it, and ignores it."""

    present: bool = True
    tick_policy: HpetTickPolicy | None = None


class KVMTimer(KubeVirtStruct, frozen=True, kw_only=True):
    """KVM's own clock."""

    present: bool = True


class PITTimer(KubeVirtStruct, frozen=True, kw_only=True):
    """The interval timer of the PC; libvirt takes it for absent, and no guest is without."""

    present: bool = True
    tick_policy: PitTickPolicy | None = None


class RTCTimer(KubeVirtStruct, frozen=True, kw_only=True):
    """The clock that runs on a battery; libvirt takes it for absent, and no guest is without."""

    present: bool = True
    tick_policy: RtcTickPolicy | None = None
    track: RtcTrack | None = None


class HypervTimer(KubeVirtStruct, frozen=True, kw_only=True):
    """The reference clock that Windows expects."""

    present: bool = True


class Timer(KubeVirtStruct, frozen=True, kw_only=True):
    """The guest's timers."""

    hpet: HPETTimer | None = None
    kvm: KVMTimer | None = None
    pit: PITTimer | None = None
    rtc: RTCTimer | None = None
    hyperv: HypervTimer | None = None


class Clock(KubeVirtStruct, frozen=True, kw_only=True):
    """What time the guest's clock shows, and its timers."""

    utc: ClockOffsetUTC | None = None
    timezone: str | None = None
    timer: Timer | None = None


class BIOS(KubeVirtStruct, frozen=True, kw_only=True):
    """Its presence asks for it."""

    use_serial: bool = False


class EFI(KubeVirtStruct, frozen=True, kw_only=True):
    """UEFI firmware: with secure boot unless that is declined, its variables kept from run to run where asked for."""

    secure_boot: bool = True
    persistent: bool = False


class Bootloader(KubeVirtStruct, frozen=True, kw_only=True):
    """The firmware's kind."""

    bios: BIOS | None = None
    efi: EFI | None = None


class Chassis(KubeVirtStruct, frozen=True, kw_only=True):
    """What SMBIOS says of the case."""

    manufacturer: str = ""
    version: str = ""
    serial: str = ""
    asset: str = ""
    sku: str = ""


class InterfaceSlirp(KubeVirtStruct, frozen=True, kw_only=True):
    """User networking inside QEMU."""


class DeprecatedMacvtap(KubeVirtStruct, frozen=True, kw_only=True):
    """A macvtap of a device plugin's, as older releases of KubeVirt had it."""


class InterfacePasst(KubeVirtStruct, frozen=True, kw_only=True):
    """User networking by passt."""


class InterfacePasstBinding(KubeVirtStruct, frozen=True, kw_only=True):
    """User networking by passt, as newer releases of KubeVirt call it."""


class InterfaceBridge(KubeVirtStruct, frozen=True, kw_only=True):
    """A port of a bridge; on the pod network (KubeVirt's default) the Pod's own address, as masquerade."""


class InterfaceMasquerade(KubeVirtStruct, frozen=True, kw_only=True):
    """The guest behind the Pod's address."""


class InterfaceSRIOV(KubeVirtStruct, frozen=True, kw_only=True):
    """A virtual function of a network card, passed through."""


class PluginBinding(KubeVirtStruct, frozen=True, kw_only=True):
    """A network binding plugin, by name."""

    name: str


class Port(KubeVirtStruct, frozen=True, kw_only=True):
    """A port that is forwarded into the guest."""

    port: PortNumber
    protocol: Literal["TCP", "UDP"] = "TCP"
    name: str | None = None


class PortRange(KubeVirtStruct, frozen=True, kw_only=True):
    """Ports that are forwarded into the guest, the first and the last among them."""

    start: PortNumber
    end: PortNumber
    protocol: Literal["TCP", "UDP"]


class DHCPPrivateOption(KubeVirtStruct, frozen=True, kw_only=True):
    """An option of a site's own."""

    option: int
    value: str


class DHCPOptions(KubeVirtStruct, frozen=True, kw_only=True):
    """What KubeVirt's own DHCP server tells the guest beside its address."""

    boot_file_name: str = ""
    tftp_server_name: str = ""
    ntp_servers: tuple[str, ...] = ()
    private_options: tuple[DHCPPrivateOption, ...] = ()


class Interface(KubeVirtStruct, frozen=True, kw_only=True):
    """A network card of the guest; the network of the same name is what it is connected to."""

    name: str
    bridge: InterfaceBridge | None = None
    masquerade: InterfaceMasquerade | None = None
    sriov: InterfaceSRIOV | None = None
    slirp: InterfaceSlirp | None = None
    passt: InterfacePasst | None = None
    macvtap: DeprecatedMacvtap | None = None
    passt_binding: InterfacePasstBinding | None = None
    binding: PluginBinding | None = None
    model: InterfaceModel | None = None
    ports: tuple[Port, ...] = ()
    port_ranges: tuple[PortRange, ...] = ()
    mac_address: str | None = None
    boot_order: BootOrder | None = None
    acpi_index: ACPIIndex = 0
    pci_address: str | None = None
    state: Literal["up", "down", "absent"] | None = None
    dhcp_options: DHCPOptions | None = field(name="dhcpOptions", default=None)
    tag: str = ""


class PodNetwork(KubeVirtStruct, frozen=True, kw_only=True):
    """The network of the launcher's Pod, or of the machine that the launcher runs on; the guest's side of it."""

    vm_network_cidr: str | None = field(name="vmNetworkCIDR", default=None)
    vm_ipv6_network_cidr: str | None = field(name="vmIPv6NetworkCIDR", default=None)


class MultusNetwork(KubeVirtStruct, frozen=True, kw_only=True):
    """A NetworkAttachmentDefinition, in Multus' notation [namespace/]name[@device]; `default`: instead of the Pod's."""

    network_name: str
    default: bool = False


class ResourceClaimNetwork(KubeVirtStruct, frozen=True, kw_only=True):
    """A virtual function that a resource claim's request brings."""

    claim_name: str = ""
    request_name: str = ""


class Network(KubeVirtStruct, frozen=True, kw_only=True):
    """What the interface of the same name is connected to."""

    name: str
    pod: PodNetwork | None = None
    multus: MultusNetwork | None = None
    resource_claim: ResourceClaimNetwork | None = None


class Input(KubeVirtStruct, frozen=True, kw_only=True):
    """A tablet."""

    name: str
    type: Literal["tablet"] = "tablet"
    bus: Literal["usb", "virtio"] | None = None


class SoundDevice(KubeVirtStruct, frozen=True, kw_only=True):
    """A sound card; nobody hears it."""

    name: str
    model: SoundModel | None = None


class TPMDevice(KubeVirtStruct, frozen=True, kw_only=True):
    """A TPM 2.0, its state kept from run to run where asked for."""

    enabled: bool = True
    persistent: bool = False


class Rng(KubeVirtStruct, frozen=True, kw_only=True):
    """Its presence asks for a source of randomness."""


class I6300ESBWatchdog(KubeVirtStruct, frozen=True, kw_only=True):
    """Intel's watchdog, on the PCI bus."""

    action: WatchdogAction | None = None


class Watchdog(KubeVirtStruct, frozen=True, kw_only=True):
    """A watchdog that acts when the guest no longer feeds it."""

    name: str
    i6300esb: I6300ESBWatchdog | None = None


class VideoDevice(KubeVirtStruct, frozen=True, kw_only=True):
    """The graphics card."""

    type: VideoModel


class PanicDevice(KubeVirtStruct, frozen=True, kw_only=True):
    """The device by which the guest's kernel tells that it crashed."""

    model: PanicModel | None = None
