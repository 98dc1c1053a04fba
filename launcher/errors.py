"""The errors that end a run, each carrying the exit status that says whose fault it is."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from msgspec import Struct


class ExitStatus(IntEnum):
    """The exit statuses of `virt-launcher`; scripts and pod policies rely on the numbers."""

    POWERED_OFF = 0
    BUG = 1
    USAGE = 2
    INVALID_VMI = 3
    HOST = 4
    DOES_NOT_FIT = 5
    TEMPLATE = 6
    NOT_STARTED = 7
    CRASHED = 8
    DESTROYED = 9
    NOT_PINNED = 10


class LauncherError(Exception):
    """Everything raised on purpose; the message is what a person reads, so it says what to change."""

    exit_status = ExitStatus.BUG


class UsageError(LauncherError):
    """The command line asks for something that cannot be done."""

    exit_status = ExitStatus.USAGE


class Fault(Struct, frozen=True, order=True):
    """One thing that is wrong with a manifest: the field's path and one sentence about it."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class InvalidVMI(LauncherError):
    """The manifest is wrong; carries every fault, in the order of the document."""

    exit_status = ExitStatus.INVALID_VMI

    def __init__(self, source: str, faults: Iterable[Fault]) -> None:
        self.source = source
        self.faults = tuple(faults)
        super().__init__("\n".join(f"{source}: {fault}" for fault in self.faults))

    def __reduce__(self) -> tuple[type[InvalidVMI], tuple[str, tuple[Fault, ...]]]:
        """Be pickled with what made it: faults are found in a process of their own (launcher/cli/workshop.py)."""
        return type(self), (self.source, self.faults)


class HostError(LauncherError):
    """The host or the cgroup cannot be read, or says something that cannot be."""

    exit_status = ExitStatus.HOST


class CPUsContradict(HostError):
    """What is said of the container's CPUs in two places cannot both be true; the cpuset may come late."""


class DoesNotFit(LauncherError):
    """The guest needs more than there is; the subclass or the attributes carry the numbers."""

    exit_status = ExitStatus.DOES_NOT_FIT


class TemplateError(LauncherError):
    """The domain template is not XML, or sets a path that the launcher owns."""

    exit_status = ExitStatus.TEMPLATE


class HypervisorError(LauncherError):
    """libvirt or QEMU would not start or control the guest."""

    exit_status = ExitStatus.NOT_STARTED


class GuestDestroyed(LauncherError):
    """The guest did not power off within the grace period and was destroyed."""

    exit_status = ExitStatus.DESTROYED
