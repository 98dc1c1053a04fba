"""The verb `render`: the domain XML, or the QEMU command line that libvirt makes of it."""

from __future__ import annotations

from argparse import Namespace

from launcher.cli.choice import choice_of
from launcher.cli.here import virt_type_of
from launcher.cli.machine import host_of, loaded, mounts_at, read_template
from launcher.cli.notes import note
from launcher.cli.output import show
from launcher.cli.places import console_paths, root_of
from launcher.domain.blueprint import Blueprint
from launcher.domain.interrupts import check_vcpus
from launcher.domain.names import domain_name
from launcher.domain.render import render
from launcher.errors import ExitStatus
from launcher.host.assigned import AssignedDevice, device_nodes
from launcher.network.expected import expected
from launcher.planner.iothreads import lay_out_iothreads
from launcher.planner.plan import plan
from launcher.storage.layout import expected_images, storage_folder, with_kernel_from
from launcher.storage.shares import shares_of
from launcher.vmi.document import read_document
from launcher.vmi.guest import Guest


def run(options: Namespace) -> ExitStatus:
    """Print what `run` would hand to libvirt; needs neither libvirt nor the host, unless for a command line."""
    mounts = mounts_at(options.volumes)
    document = read_document(options.vmi, choice_of(options))
    asked = loaded(document)
    note(asked)
    guest = expected(with_kernel_from(asked, mounts))
    host, allowed = host_of(options, guest)
    devices = _devices(options, guest)
    blueprint = Blueprint(
        guest=guest,
        pinning=plan(guest, host, allowed, device_nodes=device_nodes(devices)),
        iothreads=lay_out_iothreads(guest),
        virt_type=virt_type_of(options),
        arch=guest.arch,
        console=console_paths(root_of(options), domain_name(guest)),
        devices=devices,
        needs_topoext=host.needs_topoext,
        images=expected_images(guest, mounts, str(root_of(options))),
        storage_folder=storage_folder(str(root_of(options)), guest),
        shares=shares_of(guest, mounts, str(root_of(options) / "run")),
    )
    check_vcpus(guest, blueprint.virt_type, None)
    xml = render(blueprint, *read_template(options.template, guest.arch))
    if options.format == "argv":
        from launcher.cli.connection import open_hypervisor  # noqa: PLC0415 - libvirt is needed only here

        with open_hypervisor(root_of(options) / "render", uri=None, on_event=lambda _event: None) as hypervisor:
            show(hypervisor.command_line(xml))
    elif options.explain:
        from launcher.domain.explain import explained  # noqa: PLC0415 - only where it is asked for

        show(explained(xml, document.root), end="")
    else:
        show(xml, end="")
    return ExitStatus.POWERED_OFF


def _devices(options: Namespace, guest: Guest) -> tuple[AssignedDevice, ...]:
    if not guest.host_devices:
        return ()
    from launcher.cli.devices import told_devices  # noqa: PLC0415 - few guests have any

    return told_devices(options, guest, verb="rendered")
