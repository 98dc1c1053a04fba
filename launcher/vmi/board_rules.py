"""The admission rules of the board: its features, its clock, its UEFI firmware and what SMBIOS says of it.

Source: KubeVirt's admission webhook, vmi-create-admitter.go; what depends on what: QEMU's docs/system/i386/hyperv.rst.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec.structs import fields

from launcher.errors import Fault
from launcher.vmi.fieldpath import show
from launcher.vmi.hyperv import NEEDED, is_on
from launcher.vmi.rules import Rule, Subject, faults_at, text_fault
from launcher.vmi.schema_machine import FeatureHyperv, Features

FEATURES = "spec.domain.features"
_HYPERV = f"{FEATURES}.hyperv"
CLOCK = "spec.domain.clock"
_EFI = "spec.domain.firmware.bootloader.efi"
_BIOS = "spec.domain.firmware.bootloader.bios"
_SERIAL = "spec.domain.firmware.serial"
_CHASSIS = "spec.domain.chassis"

# What QEMU has only for x86. `smm` is among them for UEFI's secure boot is.
_X86_FEATURES = ("apic", "hyperv", "hyperv_passthrough", "kvm", "pvspinlock", "smm")
_X86_TIMERS = ("hpet", "kvm", "pit", "hyperv")
# libvirt refuses less (virDomainHypervDefPostParse); the hypercall has 32 bits, all set meaning "never".
_MIN_RETRIES = 4095
_VENDOR_ID = re.compile(r"[!-+\--~](?:[ -+\--~]{0,10}[!-+\--~])?", re.ASCII)
# A name of the tz database; glibc reads a file of that name.
_TIMEZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,31}(?:/[A-Za-z][A-Za-z0-9_+-]{0,31}){0,2}", re.ASCII)
# A string of SMBIOS as long as any firmware shows.
_MAX_SMBIOS = 255


def _x86_only(subject: Subject) -> Iterator[Fault]:
    if subject.arch != "aarch64":
        return
    features, timer = subject.vmi.spec.domain.features, subject.vmi.spec.domain.clock.timer
    for name in _X86_FEATURES:
        if getattr(features, name) is not None:
            field = "hypervPassthrough" if name == "hyperv_passthrough" else name
            yield Fault(f"{FEATURES}.{field}", f"arm64 guests have no {field}")
    for name in _X86_TIMERS:
        if timer is not None and getattr(timer, name) is not None:
            yield Fault(f"{CLOCK}.timer.{name}", f"arm64 guests have no {name}")


def _apic(subject: Subject) -> Iterator[Fault]:
    apic = subject.vmi.spec.domain.features.apic
    if apic is not None and apic.end_of_interrupt and not apic.enabled:
        yield Fault(f"{FEATURES}.apic.endOfInterrupt", f"needs {FEATURES}.apic.enabled: true")


def _hyperv(subject: Subject) -> Iterator[Fault]:
    features = subject.vmi.spec.domain.features
    hyperv = features.hyperv
    yield from _hyperv_passthrough(features)
    if hyperv is None:
        return
    for name, needed in NEEDED:
        state = getattr(hyperv, needed)
        if is_on(getattr(hyperv, name)) and state is not None and not is_on(state):
            yield Fault(f"{_HYPERV}.{name}", f"needs {_HYPERV}.{needed}, which is off")
    yield from _spinlocks(hyperv)
    yield from _vendor_id(hyperv)


def _hyperv_passthrough(features: Features) -> Iterator[Fault]:
    passthrough = features.hyperv_passthrough
    if passthrough is None:
        return
    if features.hyperv is not None:
        yield Fault(f"{FEATURES}.hypervPassthrough", f"excludes {_HYPERV}; wanted one of the two")
    elif passthrough.enabled is None:
        yield Fault(f"{FEATURES}.hypervPassthrough.enabled", "missing; wanted true or false")


def _spinlocks(hyperv: FeatureHyperv) -> Iterator[Fault]:
    spinlocks, path = hyperv.spinlocks, f"{_HYPERV}.spinlocks.spinlocks"
    if spinlocks is None or spinlocks.retries is None:
        return
    if not spinlocks.enabled:
        yield Fault(path, f"needs {_HYPERV}.spinlocks.enabled: true")
    elif spinlocks.retries < _MIN_RETRIES:
        yield Fault(path, f"{spinlocks.retries} is less than {_MIN_RETRIES}")


def _vendor_id(hyperv: FeatureHyperv) -> Iterator[Fault]:
    vendor, path = hyperv.vendorid, f"{_HYPERV}.vendorid.vendorid"
    if vendor is None:
        return
    if not vendor.enabled:
        if vendor.vendor_id is not None:
            yield Fault(path, f"needs {_HYPERV}.vendorid.enabled: true")
    elif vendor.vendor_id is None:
        yield Fault(path, "missing; an enabled vendorid needs it")
    elif not _VENDOR_ID.fullmatch(vendor.vendor_id):
        yield Fault(path, f"{show(vendor.vendor_id)} is not a name of 1 to 12 printable characters without comma")


def _hyperv_clock(subject: Subject) -> Iterator[Fault]:
    hyperv, timer = subject.vmi.spec.domain.features.hyperv, subject.vmi.spec.domain.clock.timer
    lacks_clock = timer is not None and timer.hyperv is not None and not timer.hyperv.present
    if hyperv is not None and is_on(hyperv.synictimer) and lacks_clock:
        yield Fault(f"{_HYPERV}.synictimer", f"needs {CLOCK}.timer.hyperv, which is off")


def _clock(subject: Subject) -> Iterator[Fault]:
    clock = subject.vmi.spec.domain.clock
    if clock.timezone is None:
        return
    if clock.utc is not None:
        yield Fault(CLOCK, "is utc and timezone at once; wanted one of them")
    if not _TIMEZONE.fullmatch(clock.timezone):
        yield Fault(f"{CLOCK}.timezone", f"{show(clock.timezone)} is not a time zone such as Europe/Berlin")


def _bootloader(subject: Subject) -> Iterator[Fault]:
    bootloader = subject.vmi.spec.domain.firmware.bootloader
    if bootloader is None:
        return
    if bootloader.bios is not None and bootloader.efi is not None:
        yield Fault("spec.domain.firmware.bootloader", "is bios and efi at once; wanted one of them")
    has_console = subject.vmi.spec.domain.devices.autoattach_serial_console
    if bootloader.bios is not None and bootloader.bios.use_serial and not has_console:
        yield Fault(f"{_BIOS}.useSerial", "needs spec.domain.devices.autoattachSerialConsole: true")


def _secure_boot(subject: Subject) -> Iterator[Fault]:
    domain = subject.vmi.spec.domain
    efi = None if domain.firmware.bootloader is None else domain.firmware.bootloader.efi
    if efi is None or not efi.secure_boot:
        return
    if subject.arch == "aarch64":
        yield Fault(f"{_EFI}.secureBoot", "arm64 guests have no secure boot; set it to false")
    elif not _has_smm(domain.features):
        yield Fault(f"{_EFI}.secureBoot", f"needs {FEATURES}.smm; without secure boot set it to false")


def _has_smm(features: Features) -> bool:
    return features.smm is not None and features.smm.enabled


def _smbios(subject: Subject) -> Iterator[Fault]:
    domain = subject.vmi.spec.domain
    texts = {_SERIAL: domain.firmware.serial}
    texts |= {
        f"{_CHASSIS}.{field.encode_name}": getattr(domain.chassis, field.name) for field in fields(domain.chassis)
    }
    for path, text in texts.items():
        if text:
            yield from faults_at(path, _smbios_fault(text))


def _smbios_fault(text: str) -> str | None:
    if (fault := text_fault(text)) is not None:
        return fault
    if len(text.encode()) > _MAX_SMBIOS:
        return f"{show(text)} is longer than {_MAX_SMBIOS} bytes"
    return f"{show(text)} begins or ends with a blank, which SMBIOS does not keep" if text.strip() != text else None


BOARD_RULES = (
    Rule(reads=(FEATURES, f"{CLOCK}.timer", "spec.architecture"), check=_x86_only),
    Rule(reads=(f"{FEATURES}.apic",), check=_apic),
    Rule(reads=(_HYPERV,), check=_hyperv),
    Rule(reads=(_HYPERV, f"{CLOCK}.timer"), check=_hyperv_clock),
    Rule(reads=(CLOCK,), check=_clock),
    Rule(reads=("spec.domain.firmware.bootloader", "spec.domain.devices.autoattachSerialConsole"), check=_bootloader),
    Rule(reads=(_EFI, f"{FEATURES}.smm", "spec.architecture"), check=_secure_boot),
    Rule(reads=(_SERIAL, _CHASSIS), check=_smbios),
)
