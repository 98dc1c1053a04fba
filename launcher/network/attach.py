"""Puts a guest's cards on the networks that Multus has attached to this Pod: as the device there allows, or not at all.

A tap or a macvtap is opened as it is, a bridge gets a port (which needs a right), and of everything else, which only a
privileged process could join, passt takes the address and carries TCP, UDP and ping.
"""

from __future__ import annotations

import os

from msgspec import Struct
from msgspec.structs import replace

from launcher.errors import Fault, InvalidVMI
from launcher.network.expected import with_cards
from launcher.network.links import Link, link_names, read_link
from launcher.vmi.guest import Guest
from launcher.vmi.guest_machine import Attachment, Interface, InterfaceBackend, InterfaceModel

# Of many devices no more are named.
_MOST_NAMED = 12


class Attached(Struct, frozen=True, kw_only=True):
    """The guest with a device behind each card, and in words what that means for cards that get less than they ask."""

    guest: Guest
    notices: tuple[str, ...] = ()


class _Unusable(Exception):
    """Why a card cannot be on its network."""


def attach(guest: Guest) -> Attached:
    """Find the device of each attached network in this network namespace; raises InvalidVMI with every one amiss."""
    cards, faults, notices = [], [], []
    for card in guest.peripherals.interfaces:
        try:
            found = card if card.attachment is None else _attached(card, card.attachment)
        except (_Unusable, OSError) as error:
            faults.append(Fault(f"spec.networks[{card.name}].multus.networkName", str(error)))
            continue
        cards.append(found)
        notices.extend(_notices(card, found))
    if faults:
        raise InvalidVMI(f"VMI {guest.namespace}/{guest.name}", faults)
    return Attached(guest=with_cards(guest, tuple(cards)), notices=tuple(notices))


def _attached(card: Interface, attachment: Attachment) -> Interface:
    link = _find(attachment)
    if link.is_tap or link.kind == "macvtap":
        return _on_tap(card, link)
    if card.backend is InterfaceBackend.TAP:
        raise _Unusable(
            f"{link.name} is {_words(link)}; the binding wants a tap, as the CNI plugins tap and macvtap make it"
        )
    if link.kind == "bridge":
        return replace(card, backend=InterfaceBackend.BRIDGE, device=link.name)
    if not link.has_address:
        raise _Unusable(
            f"{link.name} is {_words(link)} without an address: passt needs one (an ipam in "
            f"{attachment.qualified_name}), and only a tap needs none (the CNI plugins tap and macvtap)"
        )
    return replace(card, backend=InterfaceBackend.PASST, device=link.name, queues=1)


def _find(attachment: Attachment) -> Link:
    for name in attachment.devices:
        if (link := read_link(name)) is not None:
            return link
    there = link_names()
    more = f" and {len(there) - _MOST_NAMED} more" if len(there) > _MOST_NAMED else ""
    raise _Unusable(
        f"{attachment.qualified_name} has no device here: no {' and no '.join(attachment.devices)} among "
        f"{', '.join(there[:_MOST_NAMED])}{more}; Multus makes it where the Pod is annotated as `virt-launcher pod` "
        "prints it, and one that is there already is named after an @"
    )


def _words(link: Link) -> str:
    return {"": "a device of the machine", "tun": "a tun"}.get(link.kind, f"a {link.kind}")


def _on_tap(card: Interface, link: Link) -> Interface:
    if link.device_file is not None:
        return _on_macvtap(card, link, link.device_file)
    _check_owner(link)
    if link.has_queues and card.model is not InterfaceModel.VIRTIO:
        raise _Unusable(
            f"{link.name} is a tap of several queues, which {card.model} cannot open; wanted virtio, or one queue"
        )
    # The kernel opens a tap only as what it was made: of several queues, or of one.
    queues = max(2, card.queues) if link.has_queues else 1
    return replace(card, backend=InterfaceBackend.TAP, device=link.name, queues=queues)


def _check_owner(link: Link) -> None:
    if os.geteuid() == 0:
        return
    if link.owner is not None and link.owner != os.geteuid():
        raise _Unusable(
            f"{link.name} is the tap of user {link.owner}, and this one is {os.geteuid()}; give it to this one"
        )
    if link.group is not None and link.group not in (os.getegid(), *os.getgroups()):
        raise _Unusable(f"{link.name} is the tap of group {link.group}, to which user {os.geteuid()} does not belong")


def _on_macvtap(card: Interface, link: Link, path: str) -> Interface:
    """A macvtap lets only its own address through, so that the card's must be the same."""
    if not os.access(path, os.R_OK | os.W_OK):
        raise _Unusable(
            f"{link.name} is a macvtap, and {path} is not here, or not for this user: its device plugin brings it"
        )
    if card.mac is not None and card.mac != link.mac:
        raise _Unusable(
            f"{link.name} is the macvtap of {link.mac}, and the card's macAddress is {card.mac}; make them one"
        )
    return replace(card, backend=InterfaceBackend.TAP, device=link.name, mac=link.mac)


def _notices(wished: Interface, found: Interface) -> list[str]:
    if found is wished:
        return []
    notices = []
    if found.backend is InterfaceBackend.PASST:
        notices.append(
            f"interface {found.name}: {found.device} is no tap, so passt stands in for the bridge: TCP, UDP and ping "
            "by the device's own address, nothing below"
        )
    if found.queues < wished.queues:
        notices.append(f"interface {found.name}: networkInterfaceMultiqueue has no effect on {found.device}")
    return notices
