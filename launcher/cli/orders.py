"""What the launcher and its workshop hand each other: the order for a domain, and what one says of itself."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from launcher.domain.blueprint import VirtType
from launcher.planner.model import Pinning
from launcher.storage.layout import Mounts
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


class DomainRecord(Struct, frozen=True, kw_only=True):
    """What a running domain says of itself; `pinning` is None where no launcher started it."""

    pinning: Pinning | None
    virt_type: str
    vcpus: int
    has_run: bool
    agent_connected: bool
