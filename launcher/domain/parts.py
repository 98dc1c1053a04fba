"""The parts of a domain that whoever starts it has to name: how its CPUs run, and where its console is."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePosixPath

from msgspec import Struct


class VirtType(StrEnum):
    """libvirt's domain type: hardware virtualisation, or QEMU's own emulation (TCG)."""

    KVM = "kvm"
    QEMU = "qemu"


class ConsolePaths(Struct, frozen=True, kw_only=True):
    """Where the serial console is: QEMU's unix socket, the one that people attach to, and the log that we write."""

    socket: str
    door: str
    log: str

    def beside(self, name: str) -> str:
        """Return the path of another socket in the folder of the console's."""
        return str(PurePosixPath(self.socket).with_name(name))
