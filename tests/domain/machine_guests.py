"""The boards and the peripherals of the golden guests that show every part of a machine beside disks."""

from __future__ import annotations

from msgspec.structs import replace

from launcher.host.assigned import AssignedDevice, Bus
from launcher.vmi.guest_devices import DeviceKind, DeviceRequest
from launcher.vmi.guest_machine import (
    TPM,
    Balloon,
    Board,
    Chassis,
    Clock,
    CPUFeature,
    FeaturePolicy,
    Features,
    Hyperv,
    InputBus,
    Interface,
    InterfaceBackend,
    InterfaceModel,
    PanicModel,
    Peripherals,
    PitTickPolicy,
    Port,
    Protocol,
    RtcTickPolicy,
    RtcTrack,
    SoundModel,
    Tablet,
    Timers,
    Video,
    VideoModel,
    WatchdogAction,
)

_ENLIGHTENMENTS = (
    "relaxed",
    "vapic",
    "spinlocks",
    "vpindex",
    "runtime",
    "synic",
    "stimer",
    "reset",
    "vendor_id",
    "frequencies",
    "reenlightenment",
    "tlbflush",
    "ipi",
)

WINDOWS_BOARD = Board(
    clock=Clock(
        timezone="Europe/Berlin",
        timers=Timers(hpet=False, hypervclock=True, kvmclock=False, pit=PitTickPolicy.DELAY, rtc=RtcTickPolicy.CATCHUP),
    ),
    features=Features(
        acpi=True,
        hyperv=Hyperv(
            states=(*((name, True) for name in _ENLIGHTENMENTS), ("evmcs", False)),
            spinlock_retries=8191,
            vendor_id="KVM <&> 'Hv'",
            parts=(("stimer", "direct", True),),
        ),
        kvm_hidden=True,
        pvspinlock=False,
        smm=True,
    ),
    serial_number="a,b=\"c\" <d> & 'e' \u00e9",
    chassis=Chassis(manufacturer="Acme", version="1.0", serial="c-1", asset="a-1", sku="k-1"),
    secure_boot=True,
    keeps_variables=True,
)
WINDOWS_PERIPHERALS = Peripherals(
    interfaces=(
        Interface(
            name="default",
            backend=InterfaceBackend.SLIRP,
            model=InterfaceModel.E1000E,
            mac="52:54:00:aa:bb:cc",
            boot_order=1,
        ),
    ),
    tablets=(Tablet(), Tablet(bus=InputBus.VIRTIO)),
    sound=SoundModel.ICH9,
    tpm=TPM(persistent=True),
    video=Video(model=VideoModel.VGA, memory_kib=16384),
)

DEVICES_CPU = (
    CPUFeature(name="pcid"),
    CPUFeature(name="invtsc", policy=FeaturePolicy.OPTIONAL),
    CPUFeature(name="vmx", policy=FeaturePolicy.DISABLE),
    CPUFeature(name="svm", policy=FeaturePolicy.FORBID),
    CPUFeature(name="x2apic", policy=FeaturePolicy.FORCE),
)
DEVICES_BOARD = Board(
    clock=Clock(offset_s=-3600, timers=Timers(hpet=True, rtc_track=RtcTrack.WALL)),
    features=Features(acpi=False, apic=True, end_of_interrupt=True, kvm_hidden=False, pvspinlock=True, smm=False),
    prints_on_serial=True,
)
DEVICES_PERIPHERALS = Peripherals(
    has_rng=True,
    watchdog=WatchdogAction.POWEROFF,
    balloon=Balloon(reports_free_pages=True, is_asked_for=True),
    sound=SoundModel.AC97,
    tpm=TPM(),
    video=Video(model=VideoModel.BOCHS),
    has_vsock=True,
    panics=(PanicModel.ISA, PanicModel.HYPERV),
)

NETWORKS = (
    Interface(name="lan", backend=InterfaceBackend.BRIDGE, device="br0", queues=4, acpi_index=7),
    Interface(name="fast", backend=InterfaceBackend.TAP, device="net1", queues=4, boot_order=2),
    Interface(name="slow", backend=InterfaceBackend.TAP, device="tap0", model=InterfaceModel.RTL8139, is_up=False),
    Interface(name="user", backend=InterfaceBackend.SLIRP),
)
PASST = (
    Interface(
        name="default",
        backend=InterfaceBackend.PASST,
        ports=(Port(port=22), Port(port=53), Port(port=53, protocol=Protocol.UDP)),
    ),
    Interface(name="closed", backend=InterfaceBackend.PASST, model=InterfaceModel.E1000),
)


def _host_device(
    name: str, bus: Bus, address: str, *, index: int, node: int = -1, root: str = "", kind: DeviceKind = DeviceKind.GPU
) -> AssignedDevice:
    request = DeviceRequest(kind=kind, index=index, name=name, resource="example.com/device")
    return AssignedDevice(request=request, bus=bus, address=address, source="test", node=node, root=root)


# The second GPU's window alone is more than what q35 leaves by itself.
HOST_DEVICES = (
    _host_device("g0", Bus.PCI, "0000:41:00.0", index=0, node=0, root="pci0000:40"),
    replace(
        _host_device("g1", Bus.PCI, "0000:c1:00.0", index=1, node=1, root="pci0000:c0"), wide_bytes=(1 << 36, 1 << 25)
    ),
    _host_device("g2", Bus.PCI, "0000:42:00.1", index=2, node=0, root="pci0000:40"),
    replace(
        _host_device("g3", Bus.MEDIATED, "6a1a24a1-4061-4607-8bf4-a3963d0c5895", index=3, node=0, root="pci0000:20"),
        is_screen=True,
        has_boot_screen=True,
    ),
    _host_device("stick", Bus.USB, "1:3", index=0, kind=DeviceKind.HOST_DEVICE),
)
