"""The ports of the Pod that lead to a guest behind QEMU's own user networking, which QEMU is told before it runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from msgspec import Struct

from launcher.domain.names import alias_of
from launcher.vmi.guest import Guest
from launcher.vmi.guest_machine import InterfaceBackend, Protocol


class Forward(Struct, frozen=True, kw_only=True):
    """One port of the Pod that leads to the same port of the guest, by the card with this alias."""

    alias: str
    protocol: Protocol
    port: int


def forwards_of(guest: Guest) -> tuple[Forward, ...]:
    """Return the forwards of a guest whose cards are on their networks; passt has its own in the domain."""
    cards = (card for card in guest.peripherals.interfaces if card.backend is InterfaceBackend.SLIRP)
    return forwards_by(guest, {alias_of(card.name) for card in cards})


def forwards_by(guest: Guest, aliases: Collection[str]) -> tuple[Forward, ...]:
    """Return the forwards of those of the guest's cards that have one of these aliases."""
    return tuple(forward for forward in _forwards(guest) if forward.alias in aliases)


def _forwards(guest: Guest) -> Iterator[Forward]:
    for card in guest.peripherals.interfaces:
        for port in card.ports:
            yield Forward(alias=alias_of(card.name), protocol=port.protocol, port=port.port)
