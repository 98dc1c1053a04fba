"""The APIC ids of an x86 guest's vCPUs: where they no longer fit in eight bits it needs more than other guests."""

from __future__ import annotations

from launcher.vmi.guest import Guest, Topology

# The id 255 is everybody's (broadcast).
HIGHEST_PLAIN_ID = 254
MOST_PLAIN_VCPUS = 255


def highest_apic_id(topology: Topology) -> int:
    """Return the APIC id of the last vCPU: core and thread each take a whole number of bits (Intel SDM 9.9)."""
    thread_bits, core_bits = (topology.threads - 1).bit_length(), (topology.cores - 1).bit_length()
    socket, core, thread = topology.sockets - 1, topology.cores - 1, topology.threads - 1
    return (socket << core_bits | core) << thread_bits | thread


def vcpus_in_words(topology: Topology) -> str:
    """Say how many vCPUs there are, and how far their APIC ids go where the number alone would not be too large."""
    ids = "" if topology.vcpus > MOST_PLAIN_VCPUS else f" with APIC ids up to {highest_apic_id(topology)}"
    shape = f"sockets {topology.sockets} x cores {topology.cores} x threads {topology.threads}"
    return f"{topology.vcpus} vCPUs{ids} ({shape})"


def needs_wide_ids(guest: Guest) -> bool:
    """Tell whether interrupts could not reach every vCPU of this guest as they do in others."""
    return guest.arch == "x86_64" and highest_apic_id(guest.cpu.topology) > HIGHEST_PLAIN_ID


def wide_ids_in_words(guest: Guest, *, is_emulated: bool | None) -> str | None:
    """Say what so many vCPUs depend on that no manifest tells: KVM, and QEMU's machine; None for other guests.

    `is_emulated` None: it is not known yet how the guest will run.
    """
    if not needs_wide_ids(guest) or is_emulated is False:
        return None
    vcpus = vcpus_in_words(guest.cpu.topology)
    if is_emulated:
        return f"spec.domain.cpu: {vcpus}; emulated ones are 255 at most, so that this guest does not start without KVM"
    return (
        f"spec.domain.cpu: {vcpus} run with KVM alone, where QEMU's machine type has so many: emulated ones are 255 at "
        "most, which `run` tells before it starts anything"
    )
