"""The workshop's jobs on domains: made from a guest and its placement, and read again."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from launcher.cli.here import this_machine
from launcher.cli.machine import mounts_at, read_template
from launcher.cli.orders import DomainMade, DomainOrder, DomainRecord
from launcher.cli.places import console_paths
from launcher.domain.blueprint import Blueprint
from launcher.domain.interrupts import check_vcpus
from launcher.domain.names import domain_name
from launcher.domain.newer import without_newer
from launcher.domain.places import read_places
from launcher.domain.read import (
    read_agent_connected,
    read_has_run,
    read_most_vcpus,
    read_plan,
    read_type,
    read_user_cards,
    read_vcpus,
)
from launcher.domain.render import render
from launcher.host.processor import needs_topoext
from launcher.hypervisor.capability import may_be_looked_into
from launcher.hypervisor.rights import check_user_namespace
from launcher.network.expected import has_attachments
from launcher.network.forwards import forwards_of
from launcher.network.pod import on_pod
from launcher.planner.iothreads import lay_out_iothreads
from launcher.storage.find import find_kernel
from launcher.storage.handover import Handed, folders_of, hand_images, hand_kernel
from launcher.storage.layout import Mounts, storage_folder
from launcher.storage.model import DiskImage
from launcher.storage.prepare import prepare_storage
from launcher.storage.shares import check_shares, shares_of
from launcher.supervise.device_watch import HeldDevice
from launcher.vmi.guest import Guest
from launcher.vmi.guest_machine import InterfaceBackend


def make_domain(ordered: Guest, order: DomainOrder) -> DomainMade:
    """Find the guest's networks, prepare its disks and return the domain; raises InvalidVMI or TemplateError."""
    mounts = mounts_at(order.volumes)
    most_vcpus = None if order.capabilities is None else read_most_vcpus(order.capabilities)
    check_vcpus(ordered, order.virt_type, most_vcpus)
    template = read_template(order.template, ordered.arch)
    guest, attached_notices = _on_networks(find_kernel(ordered, mounts))
    guest, notices = on_pod(guest, partial(_passt_fault, guest) if order.has_passt else _no_passt)
    if order.is_embedded:
        _check_passt(guest)
    guest, newer_notices = (guest, ()) if order.has_newer_elements else without_newer(guest)
    shares = shares_of(guest, mounts, str(order.root / "run"))
    check_shares(guest, shares)
    guest, images, files = _handed_over(
        order, guest, mounts, prepare_storage(guest, mounts, order.root), is_image=_has_kernel_image(ordered)
    )
    blueprint = Blueprint(
        guest=guest,
        pinning=order.pinning,
        iothreads=lay_out_iothreads(ordered),
        virt_type=order.virt_type,
        arch=ordered.arch,
        console=console_paths(order.root, domain_name(ordered)),
        images=images,
        storage_folder=storage_folder(str(order.root), ordered),
        shares=shares,
        shares_iothreads=order.shares_iothreads,
        devices=order.devices,
        needs_topoext=needs_topoext(this_machine()),
    )
    return DomainMade(
        xml=render(blueprint, *template),
        notices=(*attached_notices, *notices, *newer_notices, *_opened_by_name(order, ordered, mounts, images)),
        shares=shares,
        forwards=forwards_of(guest),
        files=files,
    )


def _no_passt() -> str:
    return "libvirt has it from 9.1 on"


def _passt_fault(guest: Guest) -> str | None:
    """Say why passt cannot be used here, or None where it can."""
    # Only where libvirt has passt, and a card leaves the choice.
    from launcher.network.passt import passt_fault  # noqa: PLC0415

    cards = guest.peripherals.interfaces
    return passt_fault(all_ports=any(c.backend is InterfaceBackend.POD and not c.ports for c in cards))


def _handed_over(
    order: DomainOrder, guest: Guest, mounts: Mounts, images: tuple[DiskImage, ...], *, is_image: bool
) -> tuple[Guest, tuple[DiskImage, ...], tuple[Handed, ...]]:
    """Return guest and images with the names under which QEMU is handed their files, as far as it can be, and those."""
    files: tuple[Handed, ...] = ()
    if order.takes_descriptors:
        images, files = hand_images(guest, images, mounts, storage_folder(str(order.root), guest))
    if order.is_embedded and may_be_looked_into():
        # This process lives until the guest has started.
        guest = hand_kernel(guest, mounts, is_image=is_image)
    return guest, images, files


def _has_kernel_image(guest: Guest) -> bool:
    return guest.kernel_boot is not None and guest.kernel_boot.image is not None


def _opened_by_name(order: DomainOrder, guest: Guest, mounts: Mounts, images: tuple[DiskImage, ...]) -> Iterator[str]:
    """Say which files of a volume a daemon's QEMU opens by name alone, after they were checked."""
    names = ["the kernel"] if not order.is_embedded and _has_kernel_image(guest) else []
    if not order.takes_descriptors:
        names += [
            f"disk {disk.name}"
            for disk, image in zip(guest.filled_disks, images, strict=True)
            if folders_of(disk, mounts) and not image.is_block
        ]
    if names:
        yield (
            f"{', '.join(names)}: opened by name by the daemon behind --connect after the check: whoever may write in "
            "the volume can put another file there until then"
        )


def _check_passt(guest: Guest) -> None:
    """Raise HypervisorError where an interface is passt's, which could not start here."""
    card = next((card for card in guest.peripherals.interfaces if card.backend is InterfaceBackend.PASST), None)
    if card is not None:
        check_user_namespace(card.name)
        # Only where libvirt has passt.
        from launcher.network.taken import check_free  # noqa: PLC0415

        check_free(guest)


def _on_networks(guest: Guest) -> tuple[Guest, tuple[str, ...]]:
    """Return the guest with a device behind each card that Multus attached, and what is to be told of them."""
    if not has_attachments(guest):
        return guest, ()
    from launcher.network.attach import attach  # noqa: PLC0415 - only for a guest on such a network

    attached = attach(guest)
    return attached.guest, attached.notices


def read_domain(xml: str) -> DomainRecord:
    """Read what a running domain's live XML says of itself; raises ValueError where the record cannot be read."""
    return DomainRecord(
        pinning=read_plan(xml),
        virt_type=read_type(xml),
        vcpus=read_vcpus(xml),
        has_run=read_has_run(xml),
        agent_connected=read_agent_connected(xml),
        user_cards=read_user_cards(xml),
        devices=tuple(
            HeldDevice(alias=place.alias, address=place.host_address)
            for place in read_places(xml)
            if place.host_address
        ),
    )
