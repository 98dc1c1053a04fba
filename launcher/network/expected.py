"""What a network is taken for where nobody looks at devices."""

from __future__ import annotations

from msgspec.structs import replace

from launcher.vmi.guest import Guest
from launcher.vmi.guest_machine import Interface, InterfaceBackend


def expected(guest: Guest) -> Guest:
    """Return the guest as it is where nobody looks: attached networks are taps as asked for, the Pod's is slirp's."""
    return with_cards(guest, tuple(_expected(card) for card in guest.peripherals.interfaces))


def _expected(card: Interface) -> Interface:
    if card.backend in (InterfaceBackend.POD, InterfaceBackend.SLIRP):
        return replace(card, backend=InterfaceBackend.SLIRP, queues=1)
    if card.backend is InterfaceBackend.PASST:
        return replace(card, queues=1)
    if card.attachment is None or card.device is not None:
        return card
    return replace(card, backend=InterfaceBackend.TAP, device=card.attachment.devices[0])


def with_cards(guest: Guest, cards: tuple[Interface, ...]) -> Guest:
    """Return the guest with these cards instead of its own."""
    if cards == guest.peripherals.interfaces:
        return guest
    return replace(guest, peripherals=replace(guest.peripherals, interfaces=cards))


def has_attachments(guest: Guest) -> bool:
    """Tell whether there is a device to look for."""
    return any(card.attachment is not None for card in guest.peripherals.interfaces)
