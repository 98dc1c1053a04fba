"""The order for a domain: what the launcher hands to its workshop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from launcher.domain.blueprint import VirtType
from launcher.planner.model import Pinning
from launcher.storage.layout import Mounts
from launcher.vmi.guest import Guest


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainOrder:
    """What a domain is to be made of; `template` is the site's file, None for the launcher's own."""

    guest: Guest
    pinning: Pinning
    virt_type: VirtType
    root: Path
    mounts: Mounts
    template: str | None
    shares_iothreads: bool
