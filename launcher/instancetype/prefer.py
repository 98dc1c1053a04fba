"""Applies a preference to a machine: what the machine leaves open is as the preference has it.

Source: KubeVirt's pkg/instancetype/preference/apply, in its order. `raw` are the plain values of the preference's spec.
"""

from __future__ import annotations

from launcher.instancetype.target import Target, below, copied
from launcher.vmi.manifest import Value, mapping_at

_DEVICES = ("domain", "devices")
_AUTOATTACH = ("GraphicsDevice", "MemBalloon", "PodInterface", "SerialConsole", "InputDevice")
_WHOLE_DEVICES = {
    "preferredUseVirtioTransitional": "useVirtioTransitional",
    "preferredBlockMultiQueue": "blockMultiQueue",
    "preferredNetworkInterfaceMultiQueue": "networkInterfaceMultiqueue",
    "preferredRng": "rng",
    "preferredTPM": "tpm",
}
_WHOLE_FEATURES = {
    "preferredApic": "apic",
    "preferredKvm": "kvm",
    "preferredPvspinlock": "pvspinlock",
    "preferredSmm": "smm",
}
_BINDINGS = ("bridge", "slirp", "masquerade", "sriov", "macvtap", "passt", "passtBinding", "binding")


def prefer_autoattach(raw: dict[str, Value], target: Target) -> None:
    """Set the toggles of devices that are added by themselves; before any is added."""
    devices = mapping_at(raw, "devices")
    for device in _AUTOATTACH:
        target.prefer(devices.get(f"preferredAutoattach{device}"), *_DEVICES, f"autoattach{device}")


def apply_preference(raw: dict[str, Value], target: Target) -> None:
    """Write what the preference says into the machine, where the machine says nothing."""
    _prefer_cpu_features(mapping_at(raw, "cpu"), target)
    devices = mapping_at(raw, "devices")
    _prefer_devices(devices, target)
    for disk in target.items(*_DEVICES, "disks"):
        _prefer_disk(devices, disk)
    for interface in target.items(*_DEVICES, "interfaces"):
        _prefer_interface(devices, interface, target)
    _prefer_inputs(devices, target)
    _prefer_panic_devices(devices, target)
    _prefer_features(mapping_at(raw, "features"), target)
    _prefer_firmware(mapping_at(raw, "firmware"), target)
    _prefer_clock(mapping_at(raw, "clock"), target)
    _prefer_rest(raw, target)


def _prefer_cpu_features(cpu: dict[str, Value], target: Target) -> None:
    preferred = cpu.get("preferredCPUFeatures")
    place = below(target.spec, "domain", "cpu") if isinstance(preferred, list) and preferred else None
    if place is None or not isinstance(preferred, list) or not isinstance(place.get("features") or [], list):
        return
    named = {feature.get("name") for feature in target.items("domain", "cpu", "features")}
    more = [copied(one) for one in preferred if isinstance(one, dict) and one.get("name") not in named]
    own = place.get("features")
    place["features"] = [*(own if isinstance(own, list) else []), *more]


def _prefer_devices(devices: dict[str, Value], target: Target) -> None:
    for own, name in _WHOLE_DEVICES.items():
        target.prefer(devices.get(own), *_DEVICES, name)
    # No pointer in Go, so KubeVirt cannot tell whether the machine says it.
    if devices.get("preferredDisableHotplug") is not None:
        target.set(devices["preferredDisableHotplug"], *_DEVICES, "disableHotplug")
    if target.has(*_DEVICES, "sound"):
        _prefer_text(devices, "preferredSoundModel", mapping_at(target.get(*_DEVICES, "sound")), "model")
    if devices.get("preferredVideoType") is not None:
        _prefer_text(devices, "preferredVideoType", below(target.spec, *_DEVICES, "video"), "type")


def _prefer_text(preferred: dict[str, Value], own: str, place: dict[str, Value] | None, name: str) -> None:
    """Set a text where it is missing or empty, which is the same to Go."""
    if place is not None and preferred.get(own) and place.get(name) in (None, ""):
        place[name] = preferred[own]


def _prefer_disk(devices: dict[str, Value], disk: dict[str, Value]) -> None:
    if all(disk.get(kind) is None for kind in ("disk", "cdrom", "lun")):
        disk["disk"] = {}
    if disk.get("disk") is not None:
        hard_disk = below(disk, "disk")
        _prefer_text(devices, "preferredDiskBus", hard_disk, "bus")
        _prefer_value(devices, "preferredDiskBlockSize", disk, "blockSize")
        _prefer_text(devices, "preferredDiskCache", disk, "cache")
        _prefer_text(devices, "preferredDiskIO", disk, "io")
        if hard_disk is not None and hard_disk.get("bus") == "virtio":
            _prefer_value(devices, "preferredDiskDedicatedIoThread", disk, "dedicatedIOThread")
    elif disk.get("cdrom") is not None:
        _prefer_text(devices, "preferredCdromBus", below(disk, "cdrom"), "bus")
    else:
        _prefer_text(devices, "preferredLunBus", below(disk, "lun"), "bus")


def _prefer_value(preferred: dict[str, Value], own: str, place: dict[str, Value], name: str) -> None:
    if preferred.get(own) is not None and place.get(name) is None:
        place[name] = copied(preferred[own])


def _prefer_interface(devices: dict[str, Value], interface: dict[str, Value], target: Target) -> None:
    _prefer_text(devices, "preferredInterfaceModel", interface, "model")
    has_binding = any(interface.get(binding) is not None for binding in _BINDINGS)
    networks = [one for one in target.items("networks") if one.get("name") == interface.get("name")]
    if not has_binding and networks and networks[0].get("pod") is not None:
        _prefer_value(devices, "preferredInterfaceMasquerade", interface, "masquerade")


def _prefer_inputs(devices: dict[str, Value], target: Target) -> None:
    for one in target.items(*_DEVICES, "inputs"):
        _prefer_text(devices, "preferredInputBus", one, "bus")
        _prefer_text(devices, "preferredInputType", one, "type")


def _prefer_panic_devices(devices: dict[str, Value], target: Target) -> None:
    model = devices.get("preferredPanicDeviceModel")
    if model is None:
        return
    if target.get(*_DEVICES, "panicDevices") in (None, []):
        target.set([{"model": model}], *_DEVICES, "panicDevices")
    for one in target.items(*_DEVICES, "panicDevices"):
        _prefer_value(devices, "preferredPanicDeviceModel", one, "model")


def _prefer_features(features: dict[str, Value], target: Target) -> None:
    # No pointer in Go, so KubeVirt cannot tell whether the machine says it.
    if features.get("preferredAcpi") is not None:
        target.set(features["preferredAcpi"], "domain", "features", "acpi")
    for own, name in _WHOLE_FEATURES.items():
        target.prefer(features.get(own), "domain", "features", name)
    for name, value in mapping_at(features, "preferredHyperv").items():
        target.prefer(value, "domain", "features", "hyperv", name)


def _prefer_firmware(firmware: dict[str, Value], target: Target) -> None:
    bootloader = ("domain", "firmware", "bootloader")
    bios, efi = (*bootloader, "bios"), (*bootloader, "efi")
    if firmware.get("preferredUseBios") is True and not target.has(*bios) and not target.has(*efi):
        target.set({}, *bios)
    if target.has(*bios):
        target.prefer(firmware.get("preferredUseBiosSerial"), *bios, "useSerial")
    elif not target.has(*efi) and firmware.get("preferredEfi") is not None:
        # The two deprecated fields say nothing then.
        target.set(firmware["preferredEfi"], *efi)
        return
    if firmware.get("preferredUseEfi") is True and not target.has(*bios) and not target.has(*efi):
        target.set({}, *efi)
    if target.has(*efi):
        target.prefer(firmware.get("preferredUseSecureBoot"), *efi, "secureBoot")


def _prefer_clock(clock: dict[str, Value], target: Target) -> None:
    place = ("domain", "clock")
    offset = mapping_at(clock, "preferredClockOffset")
    if not target.has(*place, "utc") and not target.has(*place, "timezone"):
        for name, value in offset.items():
            target.prefer(value, *place, name)
    target.prefer(clock.get("preferredTimer"), *place, "timer")


def _prefer_rest(raw: dict[str, Value], target: Target) -> None:
    if machine_type := mapping_at(raw, "machine").get("preferredMachineType"):
        _prefer_text({"type": machine_type}, "type", below(target.spec, "domain", "machine"), "type")
    _prefer_text(raw, "preferredSubdomain", target.spec, "subdomain")
    _prefer_text(raw, "preferredArchitecture", target.spec, "architecture")
    _prefer_value(raw, "preferredTerminationGracePeriodSeconds", target.spec, "terminationGracePeriodSeconds")
    target.prefer(raw.get("preferredLaunchSecurity"), "domain", "launchSecurity")
    annotations = mapping_at(raw, "annotations")
    place = below(target.metadata, "annotations") if annotations else None
    for name, value in annotations.items() if place is not None else ():
        if place is not None:
            place.setdefault(name, value)
