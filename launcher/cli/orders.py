"""What the launcher and its workshop hand each other: the orders for a plan and a domain, and what comes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    # What few guests have is loaded for these alone, where one of them is handed over.
    from pathlib import Path

    from launcher.domain.parts import VirtType
    from launcher.host.assigned import AssignedDevice
    from launcher.host.model import AllowedCPUs
    from launcher.network.forwards import Forward
    from launcher.planner.model import Pinning
    from launcher.storage.handover import Handed
    from launcher.storage.shares import Share
    from launcher.supervise.device_watch import HeldDevice
    from launcher.supervise.exclusivity import Grade


class PlanOrder(Struct, frozen=True, kw_only=True):
    """What a plan is to be made of, beside the guest; `nodes` are those of the guest's devices.

    `needs_exclusive` CPUs are refused where nothing shows that they are ours alone.
    """

    allowed: AllowedCPUs
    virt_type: VirtType
    kubelet_state: str
    nodes: tuple[int, ...] = ()
    needs_exclusive: bool = False
    # QEMU runs in this container, and has what is mounted here.
    is_embedded: bool = True


class Graded(Struct, frozen=True, kw_only=True):
    """How sure it is that a cpuset is the guest's alone, and why the kubelet has no say in that, "" where it has."""

    grade: Grade
    is_dedicated: bool
    unread: str = ""


class DomainOrder(Struct, frozen=True, kw_only=True):
    """What a domain is to be made of, beside the guest; `template` is the site's file, None for the launcher's own,
    `volumes` the folder of the Pod's volumes, None for KubeVirt's."""

    pinning: Pinning
    virt_type: VirtType
    root: Path
    volumes: str | None
    template: str | None
    shares_iothreads: bool
    # Whether libvirt can start passt here, where it runs.
    has_passt: bool = False
    # libvirt knows the elements of 2025 (launcher/domain/newer.py).
    has_newer_elements: bool = True
    devices: tuple[AssignedDevice, ...] = ()
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
