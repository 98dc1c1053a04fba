"""What a guest needs in CPUs: its vCPUs, the emulator's own and the IOThread pool's."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from launcher.vmi.guest import Guest, IOThreadsPolicy


class CPUDemand(Struct, frozen=True, kw_only=True):
    """The exclusive host CPUs that a guest with dedicated CPUs needs, by what they are for."""

    vcpus: int
    emulator: int = 0
    pool_iothreads: int = 0
    # For all vCPUs of a mixed guest together that have no CPU of their own.
    shared: int = 0
    # For vhost's threads.
    vhost: int = 0

    @property
    def housekeeping(self) -> int:
        """The CPUs reserved for the emulator, the IOThread pool, vCPUs that share, and vhost."""
        return self.emulator + self.pool_iothreads + self.shared + self.vhost

    @property
    def total(self) -> int:
        """All CPUs; what `limits.cpu` of the container must be."""
        return self.vcpus + self.housekeeping

    def __str__(self) -> str:
        """Return the sum in words: "4 vCPUs + 1 for the emulator + 2 for IOThreads"."""
        dedicated = "dedicated " if self.shared else ""
        others = (
            (self.emulator, "the emulator"),
            (self.pool_iothreads, "IOThreads"),
            (self.shared, "the vCPUs that share"),
            (self.vhost, "vhost"),
        )
        vcpus = f"{self.vcpus} {dedicated}{'vCPU' if self.vcpus == 1 else 'vCPUs'}"
        return " + ".join([vcpus, *(f"{count} for {what}" for count, what in others if count)])


def cpu_demand(guest: Guest) -> CPUDemand:
    """Count the exclusive CPUs that the guest needs; without dedicated CPUs it needs none, but its vCPUs are told.

    An isolated emulator takes one CPU, or two where the annotation
    `alpha.kubevirt.io/EmulatorThreadCompleteToEvenParity` is present and vCPUs and pool IOThreads together are even
    in number, so that the container's total is even.
    """
    vcpus = guest.cpu.topology.vcpus
    if not guest.cpu.dedicated:
        return CPUDemand(vcpus=vcpus)
    pool = guest.io_threads.pool_count if guest.io_threads.policy is IOThreadsPolicy.SUPPLEMENTAL_POOL else 0
    demand = CPUDemand(
        vcpus=len(guest.cpu.placed_vcpus),
        pool_iothreads=pool,
        shared=guest.cpu.shared_cpus,
        vhost=guest.cpu.vhost_cpus,
    )
    if not guest.cpu.isolate_emulator_thread:
        return demand
    return replace(demand, emulator=2 if guest.cpu.emulator_even_parity and demand.total % 2 == 0 else 1)
