"""Builds the guest's board and peripherals of an admitted manifest, with the defaults that KubeVirt has."""

from __future__ import annotations

from launcher.vmi.guest import Firmware, Topology
from launcher.vmi.guest_machine import (
    TPM,
    Balloon,
    Board,
    Chassis,
    Clock,
    CPUFeature,
    FeaturePolicy,
    Features,
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
    VideoModel,
    WatchdogAction,
)
from launcher.vmi.hyperv import EVMCS_FEATURE, hyperv_of, is_on
from launcher.vmi.networks import backend_of, device_of, model_of, parse_mac
from launcher.vmi.schema import Devices, DomainSpec, VirtualMachineInstance
from launcher.vmi.schema_base import FeatureState
from launcher.vmi.schema_machine import (
    EFI,
    FeatureAPIC,
    HPETTimer,
    HypervTimer,
    KVMTimer,
    Network,
    Timer,
    Watchdog,
)
from launcher.vmi.schema_machine import Clock as ClockSpec
from launcher.vmi.schema_machine import Features as FeaturesSpec
from launcher.vmi.schema_machine import Interface as InterfaceSpec

# The most queues that the tap driver has (MAX_TAP_QUEUES, drivers/net/tun.c); KubeVirt's MultiQueueMaxQueues.
_MAX_QUEUES = 256


def cpu_features_of(domain: DomainSpec) -> tuple[CPUFeature, ...]:
    """Return the features of the guest's CPU; vmx among them where the enlightened VMCS needs it."""
    features = tuple(
        CPUFeature(name=feature.name, policy=feature.policy or FeaturePolicy.REQUIRE) for feature in domain.cpu.features
    )
    hyperv = domain.features.hyperv
    if hyperv is None or not is_on(hyperv.evmcs) or any(feature.name == EVMCS_FEATURE.name for feature in features):
        return features
    return (*features, EVMCS_FEATURE)


def firmware_of(domain: DomainSpec, arch: str) -> Firmware:
    """Return the kind of firmware: BIOS where nothing else is asked for, on arm64 always UEFI."""
    return Firmware.EFI if arch == "aarch64" or _efi(domain) is not None else Firmware.BIOS


def _efi(domain: DomainSpec) -> EFI | None:
    bootloader = domain.firmware.bootloader
    return None if bootloader is None else bootloader.efi


def board_of(domain: DomainSpec) -> Board:
    """Build the board: clock, features and firmware's settings."""
    efi, bootloader, chassis = _efi(domain), domain.firmware.bootloader, domain.chassis
    return Board(
        clock=_clock(domain.clock),
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
        prints_on_serial=bootloader is not None and bootloader.bios is not None and bootloader.bios.use_serial,
    )


def _clock(clock: ClockSpec) -> Clock:
    offset = None if clock.utc is None else clock.utc.offset_seconds or 0
    timers = Timers() if clock.timer is None else _timers(clock.timer)
    return Clock(offset_s=offset, timezone=clock.timezone, timers=timers)


def _timers(timer: Timer) -> Timers:
    return Timers(
        hpet=_present(timer.hpet),
        kvmclock=_present(timer.kvm),
        hypervclock=_present(timer.hyperv),
        pit=None if timer.pit is None else timer.pit.tick_policy,
        rtc=None if timer.rtc is None else timer.rtc.tick_policy,
        rtc_track=None if timer.rtc is None else timer.rtc.track,
    )


def _present(timer: HPETTimer | KVMTimer | HypervTimer | None) -> bool | None:
    return None if timer is None else timer.present


def _features(features: FeaturesSpec) -> Features:
    return Features(
        acpi=_state(features.acpi),
        apic=_state(features.apic),
        end_of_interrupt=features.apic is not None and features.apic.end_of_interrupt,
        hyperv=None if features.hyperv is None else hyperv_of(features.hyperv),
        kvm_hidden=None if features.kvm is None else features.kvm.hidden,
        pvspinlock=_state(features.pvspinlock),
        smm=_state(features.smm),
    )


def _state(state: FeatureState | FeatureAPIC | None) -> bool | None:
    return None if state is None else state.enabled


def peripherals_of(vmi: VirtualMachineInstance, *, arch: str, topology: Topology) -> Peripherals:
    """Build the devices beside disks and the serial console."""
    devices = vmi.spec.domain.devices
    return Peripherals(
        interfaces=_interfaces(vmi, topology),
        has_rng=devices.rng is not None,
        watchdog=_watchdog(devices.watchdog),
        balloon=_balloon(vmi.spec.domain),
        tablets=_tablets(devices),
        sound=None if devices.sound is None else devices.sound.model or SoundModel.ICH9,
        tpm=None if devices.tpm is None or not devices.tpm.enabled else TPM(persistent=devices.tpm.persistent),
        video=_video(devices, arch),
        has_vsock=bool(devices.autoattach_vsock),
        panics=tuple(panic.model or PanicModel.ISA for panic in devices.panic_devices),
    )


def _interfaces(vmi: VirtualMachineInstance, topology: Topology) -> tuple[Interface, ...]:
    networks = {network.name: network for network in vmi.spec.networks}
    queues = min(topology.vcpus, _MAX_QUEUES) if vmi.spec.domain.devices.network_interface_multiqueue else 1
    return tuple(_interface(one, networks[one.name], queues) for one in vmi.spec.domain.devices.interfaces)


def _interface(interface: InterfaceSpec, network: Network, queues: int) -> Interface:
    # Admission saw to it that there is a binding that is known.
    backend, model = backend_of(interface) or InterfaceBackend.SLIRP, model_of(interface)
    device = device_of(network)
    return Interface(
        name=interface.name,
        backend=backend,
        device=device,
        model=model,
        mac=None if interface.mac_address is None else parse_mac(interface.mac_address),
        queues=queues if device is not None and model is InterfaceModel.VIRTIO else 1,
        ports=tuple(Port(port=port.port, protocol=Protocol(port.protocol.lower())) for port in interface.ports),
        boot_order=interface.boot_order,
        acpi_index=interface.acpi_index,
        is_up=interface.state != "down",
    )


def _watchdog(watchdog: Watchdog | None) -> WatchdogAction | None:
    if watchdog is None or watchdog.i6300esb is None:
        return None
    return watchdog.i6300esb.action or WatchdogAction.RESET


def _balloon(domain: DomainSpec) -> Balloon | None:
    """Return the balloon; memory that is the guest's alone, as dedicated CPUs and huge pages have it, is not reported.

    Source: KubeVirt's pkg/virt-controller/services, free page reporting.
    """
    if not domain.devices.autoattach_mem_balloon:
        return None
    return Balloon(reports_free_pages=not domain.cpu.dedicated_cpu_placement and domain.memory.hugepages is None)


def _tablets(devices: Devices) -> tuple[Tablet, ...]:
    if devices.autoattach_input_device:
        return (Tablet(),)
    return tuple(Tablet(bus=InputBus(one.bus or "usb")) for one in devices.inputs)


def _video(devices: Devices, arch: str) -> VideoModel | None:
    if devices.video is not None:
        return devices.video.type
    if not devices.autoattach_graphics_device:
        return None
    return VideoModel.VIRTIO if arch == "aarch64" else VideoModel.VGA
