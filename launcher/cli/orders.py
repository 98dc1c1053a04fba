"""What the launcher and its workshop hand each other: the order for a domain, and what one says of itself."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from launcher.domain.blueprint import VirtType
from launcher.host.assigned import AssignedDevice
from launcher.network.forwards import Forward
from launcher.planner.model import Pinning
from launcher.storage.handover import Handed
from launcher.storage.layout import Mounts
from launcher.storage.shares import Share
from launcher.supervise.device_watch import HeldDevice
from launcher.vmi.guest import Guest


class DomainOrder(Struct, frozen=True, kw_only=True):
    """What a domain is to be made of; `template` is the site's file, None for the launcher's own."""

    guest: Guest
    pinning: Pinning
    virt_type: VirtType
    root: Path
    mounts: Mounts
    template: str | None
    shares_iothreads: bool
    # Whether libvirt can start passt here, where it runs.
    has_passt: bool = False
    # libvirt knows the elements of 2025 (launcher/domain/newer.py).
    has_newer_elements: bool = True
    devices: tuple[AssignedDevice, ...] = ()
    needs_topoext: bool = False
    # libvirt's domain capabilities, where the guest may be more than QEMU has.
    capabilities: str | None = None
    # QEMU and its helpers run in this container, and may what it may; a daemon's are elsewhere.
    is_embedded: bool = True
    # QEMU can be handed the files of its disks open.
    takes_descriptors: bool = True


class DomainMade(Struct, frozen=True, kw_only=True):
    """A domain as libvirt takes it, what its guest gets less of than it asked for, in words, and what it shares."""

    xml: str
    notices: tuple[str, ...] = ()
    shares: tuple[Share, ...] = ()
    forwards: tuple[Forward, ...] = ()
    files: tuple[Handed, ...] = ()


class DomainRecord(Struct, frozen=True, kw_only=True):
    """What a running domain says of itself; `pinning` is None where no launcher started it."""

    pinning: Pinning | None
    virt_type: str
    vcpus: int
    has_run: bool
    agent_connected: bool
    # The aliases of its cards behind QEMU's own user networking.
    user_cards: tuple[str, ...] = ()
    # The host's devices that it has.
    devices: tuple[HeldDevice, ...] = ()
