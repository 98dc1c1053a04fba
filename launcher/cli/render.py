"""The verb `render`: the domain XML, or the QEMU command line that libvirt makes of it."""

from __future__ import annotations

from argparse import Namespace

from launcher.cli.machine import console_paths, host_of, load, mounts_of, read_template, root_of, virt_type_of
from launcher.cli.output import show
from launcher.domain.blueprint import Blueprint
from launcher.domain.render import render
from launcher.errors import ExitStatus
from launcher.planner.iothreads import lay_out_iothreads
from launcher.planner.plan import plan
from launcher.storage.layout import expected_images


def run(options: Namespace) -> ExitStatus:
    """Print what `run` would hand to libvirt; needs neither libvirt nor the host, unless for a command line."""
    guest = load(options.vmi)
    host, allowed = host_of(options, guest)
    blueprint = Blueprint(
        guest=guest,
        pinning=plan(guest, host, allowed),
        iothreads=lay_out_iothreads(guest),
        virt_type=virt_type_of(options),
        arch=guest.arch,
        console=console_paths(root_of(options), guest),
        images=expected_images(guest, mounts_of(options), str(root_of(options))),
    )
    xml = render(blueprint, *read_template(options.template, guest.arch))
    if options.format == "argv":
        from launcher.cli.connection import open_hypervisor  # noqa: PLC0415 - libvirt is needed only here

        with open_hypervisor(root_of(options) / "render", uri=None, on_event=lambda _event: None) as hypervisor:
            show(hypervisor.command_line(xml))
    else:
        show(xml, end="")
    return ExitStatus.POWERED_OFF
