"""Guests whose APIC ids no longer fit in eight bits: the IOMMU and the I/O APIC that they need, and their limits.

An x2APIC has ids of 32 bits, but interrupts of devices reach only those of 8 unless an IOMMU remaps them with extended
interrupt mode (eim); that needs the I/O APIC inside QEMU (KVM's split irqchip). Only q35 has the IOMMU, and only KVM
the x2APIC (QEMU's emulation got one later, and no such IOMMU by libvirt's rules). libvirt adds both by itself from
10.10 on. Sources: the Intel SDM 11.12, QEMU's hw/i386/x86.c, libvirt's qemu_validate.c.
"""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.parts import VirtType
from launcher.domain.xml import Element, add, child_of
from launcher.errors import DoesNotFit
from launcher.vmi.apic import HIGHEST_PLAIN_ID, needs_wide_ids, vcpus_in_words
from launcher.vmi.guest import Guest

_CPU = "spec.domain.cpu"


def check_vcpus(guest: Guest, virt_type: VirtType, most_vcpus: int | None) -> None:
    """Raise DoesNotFit where so many vCPUs cannot be had: with emulation, or of this QEMU.

    `most_vcpus` is what this QEMU allows the machine type, None where that is not known.
    """
    vcpus = vcpus_in_words(guest.cpu.topology)
    if needs_wide_ids(guest) and virt_type is not VirtType.KVM:
        raise DoesNotFit(
            f"{_CPU}: {vcpus}; emulated ones are 255 at most, with APIC ids up to {HIGHEST_PLAIN_ID}: run it with KVM "
            "(--virt-type kvm), or with fewer"
        )
    if most_vcpus is not None and guest.cpu.topology.vcpus > most_vcpus:
        raise DoesNotFit(
            f"{_CPU}: {vcpus}; this QEMU's machine {guest.machine or 'type'} has {most_vcpus} at most: wanted no "
            "more, or a newer QEMU"
        )


def fill_interrupts(domain: Element, blueprint: Blueprint) -> None:
    """Give a guest that needs them the I/O APIC and the IOMMU; what the template says of either stays."""
    if not needs_wide_ids(blueprint.guest):
        return
    features, devices = child_of(domain, "features"), child_of(domain, "devices")
    if features.find("ioapic") is None:
        add(features, "ioapic", driver="qemu")
    if devices.find("iommu") is None:
        driver = add(add(devices, "iommu", model="intel"), "driver", intremap="on", eim="on")
        if blueprint.devices:
            # VFIO has to see what the guest maps.
            driver.set("caching_mode", "on")
