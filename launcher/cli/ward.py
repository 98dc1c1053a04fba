"""The ward: what the launcher's own process knows of its guest, whose every detail only the workshop has unpacked.

The types of a whole guest, and all that works on them, take half a megabyte and some milliseconds of every start.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, cast

from msgspec import Struct

if TYPE_CHECKING:
    from launcher.vmi.guest import Guest


class PackedGuest(Struct, frozen=True):
    """A whole guest, as it is handed on to where it is used."""

    data: bytes

    def unpack(self) -> Guest:
        """Return the guest; whatever it is made of is loaded for it."""
        return cast("Guest", pickle.loads(self.data))  # noqa: S301 - from our own child


def packed(guest: Guest) -> PackedGuest:
    """Pack a guest."""
    return PackedGuest(pickle.dumps(guest))


class Ward(Struct, frozen=True, kw_only=True):
    """What every start and the long watch need to know of the guest.

    For what few guests have it is told that they have it, and `guest`, all that the manifest asks for, is unpacked.
    """

    namespace: str
    name: str
    # The name that libvirt knows it by.
    domain: str
    arch: str
    # The type of the emulated machine; "" where nothing says.
    machine: str
    vcpus: int
    memory_bytes: int
    guest: PackedGuest
    grace_period_s: int | None = None
    starts_paused: bool = False
    keeps_variables: bool = True
    is_console_attached: bool = True
    is_console_logged: bool = True
    # More vCPUs than every machine type has.
    is_large: bool = False
    is_realtime: bool = False
    # What the container may be denied: locked memory, a policy of memory, reservations of disks.
    wants_rights: bool = False
    has_devices: bool = False
    # Tagged devices, of which its config drive tells it.
    has_tags: bool = False
    has_credentials: bool = False
    # Asks for the host's figures (downwardMetrics).
    wants_figures: bool = False
    has_probes: bool = False
    # What the manifest asks for and does not get, in words.
    notices: tuple[str, ...] = ()
