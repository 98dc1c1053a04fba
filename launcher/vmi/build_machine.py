"""Builds the guest's board and peripherals of an admitted manifest, with the defaults that KubeVirt has."""

from __future__ import annotations

from msgspec.structs import replace

from launcher.vmi.attachments import attachment_of
from launcher.vmi.guest import Firmware, Topology
from launcher.vmi.guest_machine import (
    TPM,
    Attachment,
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
    Port,
    Protocol,
    SoundModel,
    Tablet,
    Timers,
    Video,
    VideoModel,
    WatchdogAction,
)
from launcher.vmi.hyperv import EVMCS_FEATURE, hyperv_of, is_on
from launcher.vmi.networks import L2_BRIDGE, backend_of, model_of, parse_mac, subnet_of
from launcher.vmi.schema import Devices, DomainSpec, VirtualMachineInstance
from launcher.vmi.schema_base import FeatureState
from launcher.vmi.schema_machine import (
    EFI,
    FeatureAPIC,
    HPETTimer,
    HypervTimer,
    KVMTimer,
    Network,
    PITTimer,
    PodNetwork,
    RTCTimer,
    Timer,
    Watchdog,
)
from launcher.vmi.schema_machine import Features as FeaturesSpec
from launcher.vmi.schema_machine import Interface as InterfaceSpec

# The most queues that the tap driver has (MAX_TAP_QUEUES, drivers/net/tun.c); KubeVirt's MultiQueueMaxQueues.
_MAX_QUEUES = 256
# KubeVirt's graphicsDeviceDefaultVRAM, in KiB.
_VIDEO_MEMORY_KIB = 16384
# What KubeVirt disables in every named model: QEMU has it no more, and libvirt's models still list it.
_MPX = CPUFeature(name="mpx", policy=FeaturePolicy.DISABLE)
_HOST_MODELS = ("host-model", "host-passthrough")
NO_FREE_PAGE_REPORTING = "kubevirt.io/free-page-reporting-disabled"


def cpu_features_of(domain: DomainSpec, arch: str) -> tuple[CPUFeature, ...]:
    """Return the features of the guest's CPU; vmx where the enlightened VMCS needs it, no mpx in a named model.

    Source: KubeVirt's pkg/defaults/hyperv.go and its converter's compute/cpu.go.
    """
    features = tuple(
        CPUFeature(name=feature.name, policy=feature.policy or FeaturePolicy.REQUIRE) for feature in domain.cpu.features
    )
    hyperv = domain.features.hyperv
    if hyperv is not None and is_on(hyperv.evmcs):
        features = _with(features, EVMCS_FEATURE)
    has_model = domain.cpu.model and domain.cpu.model not in _HOST_MODELS
    if has_model and arch == "x86_64" and all(feature.name != _MPX.name for feature in features):
        features = (*features, _MPX)
    return features


def _with(features: tuple[CPUFeature, ...], needed: CPUFeature) -> tuple[CPUFeature, ...]:
    """Return the features with this one, in the place of another policy for the same."""
    if any(feature.name == needed.name for feature in features):
        return tuple(needed if feature.name == needed.name else feature for feature in features)
    return (*features, needed)


def firmware_of(domain: DomainSpec, arch: str) -> Firmware:
    """Return the kind of firmware: BIOS where nothing else is asked for, on arm64 always UEFI."""
    return Firmware.EFI if arch == "aarch64" or _efi(domain) is not None else Firmware.BIOS


def _efi(domain: DomainSpec) -> EFI | None:
    bootloader = domain.firmware.bootloader
    return None if bootloader is None else bootloader.efi


def board_of(domain: DomainSpec, *, without_wide_windows: bool = False) -> Board:
    """Build the board: clock, features and firmware's settings."""
    efi, bootloader, chassis = _efi(domain), domain.firmware.bootloader, domain.chassis
    return Board(
        clock=_clock(domain),
        features=_features(domain.features),
        serial_number=domain.firmware.serial or None,
        chassis=Chassis(
            manufacturer=chassis.manufacturer,
            version=chassis.version,
            serial=chassis.serial,
            asset=chassis.asset,
            sku=chassis.sku,
        ),
        secure_boot=efi is not None and efi.secure_boot,
        keeps_variables=efi is not None and efi.persistent,
        without_wide_windows=without_wide_windows,
        ends_at_reboot=None if domain.reboot_policy is None else domain.reboot_policy == "Terminate",
        prints_on_serial=bootloader is not None and bootloader.bios is not None and bootloader.bios.use_serial,
    )


def _clock(domain: DomainSpec) -> Clock:
    clock, hyperv = domain.clock, domain.features.hyperv
    offset = None if clock.utc is None else clock.utc.offset_seconds or 0
    timers = Timers() if clock.timer is None else _timers(clock.timer)
    if hyperv is not None and is_on(hyperv.synictimer):
        # QEMU has no synthetic timers without their clock (hv-stimer, docs/system/i386/hyperv.rst).
        timers = replace(timers, hypervclock=True)
    return Clock(offset_s=offset, timezone=clock.timezone, timers=timers)


def _timers(timer: Timer) -> Timers:
    return Timers(
        hpet=_present(timer.hpet),
        hpet_tick=None if timer.hpet is None else timer.hpet.tick_policy,
        kvmclock=_present(timer.kvm),
        hypervclock=_present(timer.hyperv),
        has_pit=_present(timer.pit),
        pit=None if timer.pit is None else timer.pit.tick_policy,
        has_rtc=_present(timer.rtc),
        rtc=None if timer.rtc is None else timer.rtc.tick_policy,
        rtc_track=None if timer.rtc is None else timer.rtc.track,
    )


def _present(timer: HPETTimer | KVMTimer | HypervTimer | PITTimer | RTCTimer | None) -> bool | None:
    return None if timer is None else timer.present


def _features(features: FeaturesSpec) -> Features:
    return Features(
        acpi=_state(features.acpi),
        apic=_state(features.apic),
        end_of_interrupt=features.apic is not None and features.apic.end_of_interrupt,
        hyperv=_hyperv(features),
        kvm_hidden=None if features.kvm is None else features.kvm.hidden,
        pvspinlock=_state(features.pvspinlock),
        smm=_state(features.smm),
    )


def _hyperv(features: FeaturesSpec) -> Hyperv | None:
    if features.hyperv is not None:
        return hyperv_of(features.hyperv)
    passthrough = features.hyperv_passthrough
    return Hyperv(is_passed_through=True) if passthrough is not None and passthrough.enabled else None


def _state(state: FeatureState | FeatureAPIC | None) -> bool | None:
    return None if state is None else state.enabled


def peripherals_of(vmi: VirtualMachineInstance, *, arch: str, topology: Topology) -> Peripherals:
    """Build the devices beside disks and the serial console."""
    devices = vmi.spec.domain.devices
    return Peripherals(
        interfaces=_interfaces(vmi, topology),
        has_rng=devices.rng is not None,
        watchdog=_watchdog(devices.watchdog),
        balloon=_balloon(vmi),
        tablets=_tablets(devices, arch),
        has_keyboard=arch == "aarch64" and devices.autoattach_graphics_device is not False,
        sound=None if devices.sound is None else devices.sound.model or SoundModel.ICH9,
        tpm=None if devices.tpm is None or not devices.tpm.enabled else TPM(persistent=devices.tpm.persistent),
        video=_video(vmi.spec.domain, arch),
        has_vsock=bool(devices.autoattach_vsock),
        is_transitional=bool(devices.use_virtio_transitional),
        panics=tuple(panic.model or PanicModel.ISA for panic in devices.panic_devices),
        has_usb_redirection=devices.client_passthrough is not None,
    )


def _interfaces(vmi: VirtualMachineInstance, topology: Topology) -> tuple[Interface, ...]:
    networks = {one.name: (one, attachment_of(one, vmi.spec.networks)) for one in vmi.spec.networks}
    queues = min(topology.vcpus, _MAX_QUEUES) if vmi.spec.domain.devices.network_interface_multiqueue else 1
    # One on a virtual function is a device of the host (build_devices.py); one that is absent was unplugged for good.
    cards = (one for one in vmi.spec.domain.devices.interfaces if one.sriov is None and one.state != "absent")
    return tuple(_interface(one, *networks[one.name], queues) for one in cards)


def _interface(interface: InterfaceSpec, network: Network, attachment: Attachment | None, queues: int) -> Interface:
    # Admission saw to it that there is a binding that is known.
    backend, model = backend_of(interface, network) or InterfaceBackend.POD, model_of(interface)
    return Interface(
        name=interface.name,
        backend=backend,
        attachment=attachment,
        model=model,
        mac=None if interface.mac_address is None else parse_mac(interface.mac_address),
        # Whether what leads into the network has as many is seen where it is started.
        queues=queues if model is InterfaceModel.VIRTIO else 1,
        ports=_ports(interface),
        boot_order=interface.boot_order,
        acpi_index=interface.acpi_index or None,
        guest_address=interface.pci_address,
        subnets=() if network.pod is None else _subnets(network.pod),
        is_up=interface.state != "down",
        wants_options=interface.dhcp_options is not None,
        is_l2_bridge=interface.binding is not None and interface.binding.name == L2_BRIDGE,
        tag=interface.tag,
    )


def _ports(interface: InterfaceSpec) -> tuple[Port, ...]:
    """Return each port once, whatever names it has."""
    ports = [Port(port=port.port, protocol=Protocol(port.protocol.lower())) for port in interface.ports]
    for wanted in interface.port_ranges:
        protocol = Protocol(wanted.protocol.lower())
        ports.extend(Port(port=port, protocol=protocol) for port in range(wanted.start, wanted.end + 1))
    return tuple(dict.fromkeys(ports))


def _subnets(pod: PodNetwork) -> tuple[str, ...]:
    given = (subnet_of(pod.vm_network_cidr or "", 4), subnet_of(pod.vm_ipv6_network_cidr or "", 6))
    return tuple(subnet for subnet in given if subnet is not None)


def _watchdog(watchdog: Watchdog | None) -> WatchdogAction | None:
    if watchdog is None:
        return None
    device = watchdog.i6300esb
    return (None if device is None else device.action) or WatchdogAction.RESET


def _balloon(vmi: VirtualMachineInstance) -> Balloon | None:
    """Return the balloon, that there is unless it is declined.

    Memory that is the guest's alone, as dedicated CPUs, realtime and huge pages have it, is not reported. Source:
    KubeVirt's compute/balloon.go and isFreePageReportingEnabled (virtwrap/manager.go).
    """
    domain, asked = vmi.spec.domain, vmi.spec.domain.devices.autoattach_mem_balloon
    if asked is False:
        return None
    is_declined = vmi.metadata.annotations.get(NO_FREE_PAGE_REPORTING) == "true"
    has_own_memory = domain.cpu.dedicated_cpu_placement or domain.memory.hugepages is not None
    return Balloon(
        reports_free_pages=not (is_declined or has_own_memory or domain.cpu.realtime is not None),
        is_asked_for=asked is not None,
    )


def _tablets(devices: Devices, arch: str) -> tuple[Tablet, ...]:
    """Return the tablets: those named, else one where it is asked for, and on arm64 with every screen."""
    if devices.inputs:
        return tuple(Tablet(bus=InputBus(one.bus or "usb")) for one in devices.inputs)
    has_screen = arch == "aarch64" and devices.autoattach_graphics_device is not False
    return (Tablet(),) if devices.autoattach_input_device or has_screen else ()


def _video(domain: DomainSpec, arch: str) -> Video | None:
    """Return the graphics card, that there is unless it is declined. Source: KubeVirt's compute/graphics.go."""
    devices = domain.devices
    if devices.autoattach_graphics_device is False:
        return None
    if devices.video is not None:
        return Video(model=devices.video.type, memory_kib=_VIDEO_MEMORY_KIB)
    if arch == "aarch64":
        return Video(model=VideoModel.VIRTIO)
    if _efi(domain) is not None:
        return Video(model=VideoModel.BOCHS)
    return Video(model=VideoModel.VGA, memory_kib=_VIDEO_MEMORY_KIB)
