"""The admission rules of the machine: its board, its firmware, its UUID and the kernel it is given.

Source: KubeVirt's admission webhook, vmi-create-admitter.go and pkg/virt-api/webhooks/arm64.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from launcher.errors import Fault
from launcher.vmi.fieldpath import show
from launcher.vmi.rules import Rule, Subject, faults_at, is_image_name, path_fault, text_fault
from launcher.vmi.schema import KernelBootContainer

FIRMWARE = "spec.domain.firmware"
_KERNEL = f"{FIRMWARE}.kernelBoot"
_ACPI = f"{FIRMWARE}.acpi"
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_NO_UUID = "00000000-0000-0000-0000-000000000000"
# KubeVirt's emulatedMachines of each architecture, which are all boards that the templates are made for.
_MACHINES = {
    "x86_64": (re.compile(r"(?:pc-)?q35(?:-[a-z0-9.]{1,32})*", re.ASCII), "q35 or pc-q35-<version>"),
    "aarch64": (re.compile(r"virt(?:-[a-z0-9.]{1,32})*", re.ASCII), "virt or virt-<version>"),
}
# COMMAND_LINE_SIZE of x86 and arm64 without the final NUL; the kernel drops the rest in silence.
_MAX_ARGUMENTS = 2047


def _machine(subject: Subject) -> Iterator[Fault]:
    machine = subject.vmi.spec.domain.machine.type
    if not machine or subject.arch not in _MACHINES:
        return
    pattern, wanted = _MACHINES[subject.arch]
    if not pattern.fullmatch(machine):
        yield Fault("spec.domain.machine.type", f"{show(machine)} is not a machine for {subject.arch}; wanted {wanted}")


def _uuid(subject: Subject) -> Iterator[Fault]:
    uuid = subject.vmi.spec.domain.firmware.uuid
    if uuid is not None and (not _UUID.fullmatch(uuid) or uuid == _NO_UUID):
        yield Fault(f"{FIRMWARE}.uuid", f"{show(uuid)} is not a UUID such as 5d307ca9-b3ef-428c-8861-06e72d69f223")


def _bootloader(subject: Subject) -> Iterator[Fault]:
    bootloader = subject.vmi.spec.domain.firmware.bootloader
    if subject.arch == "aarch64" and bootloader is not None and bootloader.bios is not None:
        yield Fault(f"{FIRMWARE}.bootloader.bios", "arm64 guests have no BIOS")


def _kernel(subject: Subject) -> Iterator[Fault]:
    boot = subject.vmi.spec.domain.firmware.kernel_boot
    if boot is None:
        return
    container = boot.container
    yield from _kernel_image(container)
    if container is None or container.kernel_path is None:
        if boot.kernel_args or container is not None:
            yield Fault(f"{_KERNEL}.container.kernelPath", "missing; kernelArgs and initrdPath need a kernel")
    else:
        yield from faults_at(f"{_KERNEL}.container.kernelPath", path_fault(container.kernel_path))
    if container is not None and container.initrd_path is not None:
        yield from faults_at(f"{_KERNEL}.container.initrdPath", path_fault(container.initrd_path))


def _kernel_image(container: KernelBootContainer | None) -> Iterator[Fault]:
    if container is None or container.image is None:
        return
    where = f"{_KERNEL}.container"
    if not is_image_name(container.image):
        yield Fault(f"{where}.image", f"{show(container.image)} is not the name of a container image")
    for field, path in (("kernelPath", container.kernel_path), ("initrdPath", container.initrd_path)):
        if path and not path.startswith("/"):
            yield Fault(f"{where}.{field}", f"{show(path)} is not an absolute path inside of the image")


def _kernel_arguments(subject: Subject) -> Iterator[Fault]:
    boot = subject.vmi.spec.domain.firmware.kernel_boot
    if boot is None:
        return
    path = f"{_KERNEL}.kernelArgs"
    if (fault := text_fault(boot.kernel_args)) is not None:
        yield Fault(path, fault)
    elif len(boot.kernel_args.encode()) > _MAX_ARGUMENTS:
        yield Fault(path, f"is longer than {_MAX_ARGUMENTS} bytes, all that a kernel reads")


def _acpi(subject: Subject) -> Iterator[Fault]:
    """KubeVirt's validateFirmwareACPI."""
    acpi = subject.vmi.spec.domain.firmware.acpi
    if acpi is None:
        return
    secrets = {volume.name: volume.secret is not None for volume in subject.vmi.spec.volumes}
    given = [(field, name) for field, name in (("slic", acpi.slic_name_ref), ("msdm", acpi.msdm_name_ref)) if name]
    if not given:
        yield Fault(_ACPI, "names no table; wanted slicNameRef or msdmNameRef, a volume that is a secret")
    for field, name in given:
        if name not in secrets:
            yield Fault(f"{_ACPI}.{field}NameRef", f"no volume is called {show(name)} (spec.volumes)")
        elif not secrets[name]:
            yield Fault(f"{_ACPI}.{field}NameRef", f"the volume {show(name)} is no secret, with {field}.bin in it")


BOOT_RULES = (
    Rule(reads=("spec.domain.machine.type", "spec.architecture"), check=_machine),
    Rule(reads=(f"{FIRMWARE}.uuid",), check=_uuid),
    Rule(reads=(f"{FIRMWARE}.bootloader", "spec.architecture"), check=_bootloader),
    Rule(reads=(_ACPI, "spec.volumes"), check=_acpi),
    Rule(reads=(_KERNEL,), check=_kernel),
    Rule(reads=(f"{_KERNEL}.kernelArgs",), check=_kernel_arguments),
)
