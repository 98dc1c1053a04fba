"""Puts a guest's cards on the Pod's own network without privilege: by passt where that runs, else by QEMU itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from launcher.vmi.guest import Guest
from launcher.vmi.guest_machine import USER_NETWORKING, Interface, InterfaceBackend


def on_pod(guest: Guest, passt_fault: Callable[[], str | None]) -> tuple[Guest, tuple[str, ...]]:
    """Return the guest with a backend for each card on the Pod's network, and which of them nothing reaches.

    `passt_fault` says why passt cannot be used, or None where it can; it is asked only where a card leaves the choice.
    """
    cards = guest.peripherals.interfaces
    if not any(card.backend in USER_NETWORKING for card in cards):
        return guest, ()
    fault = passt_fault() if any(card.backend is InterfaceBackend.POD for card in cards) else None
    pod = InterfaceBackend.PASST if fault is None else InterfaceBackend.SLIRP
    found = tuple(_on_pod(card, pod) if card.backend in USER_NETWORKING else card for card in cards)
    changed = replace(guest, peripherals=replace(guest.peripherals, interfaces=found))
    return changed, tuple(_notices(found, fault))


def _on_pod(card: Interface, pod: InterfaceBackend) -> Interface:
    """Give the card its backend, and the one queue that user networking has."""
    return replace(card, backend=pod if card.backend is InterfaceBackend.POD else card.backend, queues=1)


def _notices(found: tuple[Interface, ...], fault: str | None) -> Iterator[str]:
    for card in found:
        if card.backend is InterfaceBackend.SLIRP and not card.ports:
            why = f" (no passt: {fault})" if fault is not None else ""
            yield (
                f"interface {card.name}: nothing from outside reaches the guest: QEMU's user networking forwards only "
                f"the ports that it lists, and it lists none{why}"
            )
