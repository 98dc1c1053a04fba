"""Everything that the domain XML is made from, as one value."""

from __future__ import annotations

from msgspec import Struct

from launcher.domain.parts import ConsolePaths, VirtType
from launcher.host.assigned import AssignedDevice
from launcher.planner.iothreads import IOThreadLayout
from launcher.planner.model import Pinning
from launcher.storage.model import DiskImage
from launcher.storage.shares import Share
from launcher.vmi.guest import Guest


class Blueprint(Struct, frozen=True, kw_only=True):
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
    # The host shows a guest its threads only with the feature topoext (AMD).
    needs_topoext: bool = False
    # One for each of the guest's disks that has a volume.
    images: tuple[DiskImage, ...] = ()
    # One for each of the guest's requests for a device of the host.
    devices: tuple[AssignedDevice, ...] = ()
    shares: tuple[Share, ...] = ()
    shares_iothreads: bool = False
    # Where the files lie that are made for this guest alone.
    storage_folder: str = ""

    def image(self, disk: str) -> DiskImage:
        """Return the image of the disk of this name."""
        return next(image for image in self.images if image.disk == disk)
