"""Everything that the domain XML is made from, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from launcher.planner.iothreads import IOThreadLayout
from launcher.planner.model import Pinning
from launcher.vmi.guest import Guest, ImageFormat


class VirtType(StrEnum):
    """libvirt's domain type: hardware virtualisation, or QEMU's own emulation (TCG)."""

    KVM = "kvm"
    QEMU = "qemu"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsolePaths:
    """Where the serial console is: the unix socket that people attach to, and the log that QEMU writes."""

    socket: str
    log: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """A guest, its placement and the machine's particulars; the renderer needs nothing else.

    `shares_iothreads` tells that libvirt can serve one disk from several IOThreads (10.0 and newer); without it each
    disk of a pool gets one of the pool's threads in turn.
    """

    guest: Guest
    pinning: Pinning
    iothreads: IOThreadLayout
    virt_type: VirtType
    arch: str
    console: ConsolePaths
    image_formats: tuple[tuple[str, ImageFormat], ...] = ()
    shares_iothreads: bool = False

    def image_format(self, disk: str) -> ImageFormat:
        """Return the format of this disk's image; raw where nothing else was found."""
        return dict(self.image_formats).get(disk, ImageFormat.RAW)
