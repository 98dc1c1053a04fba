"""What the supervisor needs of a hypervisor, in the launcher's own types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.errors import HypervisorError
from launcher.hypervisor.life import Life


class MachineState(StrEnum):
    """The states of a domain that the supervisor tells apart."""

    RUNNING = "running"
    PAUSED = "paused"
    SHUTTING_DOWN = "shutting down"
    CRASHED = "crashed"
    ENDED = "ended"


class EndReason(StrEnum):
    """Why a domain is no longer there, as the hypervisor saw it."""

    POWERED_OFF = "powered off"
    DESTROYED = "destroyed"
    CRASHED = "crashed"
    FAILED = "failed"


class MachineGone(HypervisorError):
    """The domain that was asked is not there, or not any more."""


class MachineResumed(Struct, frozen=True, kw_only=True):
    """The guest's CPUs run."""


class MachinePaused(Struct, frozen=True, kw_only=True):
    """The guest's CPUs stand still; `reason` is one word or two of the hypervisor's."""

    reason: str


class MachineShuttingDown(Struct, frozen=True, kw_only=True):
    """QEMU is about to end: the guest powered itself off, or else a signal told QEMU to."""

    by_guest: bool


class MachineEnded(Struct, frozen=True, kw_only=True):
    """The domain is gone, and the hypervisor has cleaned up behind it."""

    reason: EndReason


class MachineRebooted(Struct, frozen=True, kw_only=True):
    """The guest has reset itself; QEMU and its threads go on."""


class MachineAilment(Struct, frozen=True, kw_only=True):
    """Something went wrong inside the guest or with its disks; it ends for it only where `is_end` says so."""

    detail: str
    is_end: bool = False


class DeviceRemoved(Struct, frozen=True, kw_only=True):
    """A device is no longer the guest's: it has let go of it, or the host has taken it away."""

    alias: str


class AgentChanged(Struct, frozen=True, kw_only=True):
    """The guest's agent is there now, or is not there any more."""

    connected: bool


class ConnectionLost(Struct, frozen=True, kw_only=True):
    """The daemon behind the connection is gone; QEMU may well live."""

    reason: str


MachineEvent = (
    MachineResumed
    | MachinePaused
    | MachineShuttingDown
    | MachineEnded
    | MachineRebooted
    | MachineAilment
    | AgentChanged
    | DeviceRemoved
    | ConnectionLost
)


class Machine(Protocol):
    """One active domain. Every call has a deadline and raises HypervisorError where it fails or runs over.

    It may end at any moment: each question may be answered by MachineGone.
    """

    @property
    def name(self) -> str:
        """The domain's name."""

    @property
    def uuid(self) -> str:
        """The domain's UUID, lower case with dashes; also on QEMU's command line."""

    @property
    def life(self) -> Life:
        """Which life of a domain this is; a later machine of the same name and UUID has another."""

    def state(self) -> MachineState:
        """Return the state now; ENDED where the domain is gone."""

    def settle(self) -> None:
        """Wait until the hypervisor has come to terms with a domain that it found when it started."""

    def has_run(self) -> bool | None:
        """Tell whether the CPUs of a guest that stands still have ever run; None where that cannot be known."""

    def xml(self) -> str:
        """Return the live domain XML."""

    def resume(self) -> None:
        """Let the guest's CPUs run."""

    def pause(self) -> None:
        """Have the guest's CPUs stand still."""

    def reset(self) -> None:
        """Press the reset button."""

    def forward_port(self, alias: str, protocol: str, port: int) -> None:
        """Have a port of this network namespace lead to the guest's same port, by its user-networking card's alias."""

    def record_plan(self, xml: str) -> None:
        """Replace the plan in the domain's metadata, given as the XML element that holds it."""

    def record_run(self) -> None:
        """Note in the domain's metadata that its CPUs have run."""

    def ask_agent(self, command: str, timeout_s: int) -> str:
        """Have the guest's agent answer this command of its protocol (JSON), within so many seconds."""

    def set_keys(self, user: str, keys: Sequence[str]) -> None:
        """Have the guest's agent replace the public keys by which this user may log in."""

    def set_password(self, user: str, password: str) -> None:
        """Have the guest's agent set this user's password."""

    def ask_to_shut_down(self) -> None:
        """Press the ACPI power button; returns at once, the guest may take its time or ignore it."""

    def destroy(self) -> None:
        """End QEMU by force; a domain that is gone already is no error."""

    def vcpu_statistics(self) -> Mapping[str, int]:
        """Return the hypervisor's counters of the vCPUs by libvirt's names (VIR_DOMAIN_STATS_VCPU)."""

    def pin_vcpu(self, vcpu: int, cpus: CPUSet) -> None:
        """Set the affinity of one vCPU's thread."""

    def pin_iothread(self, iothread: int, cpus: CPUSet) -> None:
        """Set the affinity of one IOThread."""

    def pin_emulator(self, cpus: CPUSet) -> None:
        """Set the affinity of QEMU's main thread."""


class Hypervisor(Protocol):
    """A connection to a hypervisor."""

    @property
    def takes_descriptors(self) -> bool:
        """Tell whether QEMU can be handed files that are open in this process."""

    @property
    def shares_iothreads(self) -> bool:
        """Tell whether one disk can be served by several IOThreads."""

    def capabilities_of(self, *, arch: str, machine: str, virt_type: str) -> str:
        """Return libvirt's domain capabilities of this machine type as XML."""

    @property
    def has_passt(self) -> bool:
        """Tell whether a network card can be carried by passt, should that run."""

    @property
    def has_newer_elements(self) -> bool:
        """Tell whether libvirt knows what launcher/domain/newer.py leaves out for one that does not."""

    def find(self, name: str) -> Machine | None:
        """Return the active domain of this name, if there is one."""

    def find_again(self, name: str) -> Machine | None:
        """Open the lost connection again and find the domain behind it; None where either is not there yet."""

    def others(self, name: str) -> Sequence[Machine]:
        """Return the domains of other names that are active behind this connection."""

    def follow(self, machine: Machine) -> None:
        """Tell this machine's events from now on, those since it was found or started first, and no other's."""

    def start_paused(
        self,
        name: str,
        xml: str,
        *,
        memory_bytes: int,
        cpus: CPUSet,
        keeps_variables: bool = True,
        files: Sequence[tuple[str, int]] = (),
    ) -> Machine:
        """Start a transient domain, validated, whose CPUs do not run yet; it is never left defined behind.

        The more memory the guest has, the longer that may take. `cpus` are the launcher's own: what a driver in this
        process starts beside QEMU begins there. Without `keeps_variables` its firmware starts with fresh variables.
        `files` are descriptors under the names that the domain has for them, open until this returns.
        """

    def command_line(self, xml: str) -> str:
        """Return the QEMU command line that this domain would become, as one line of shell words."""

    def close(self) -> None:
        """Close the connection."""
