"""The workshop's jobs on domains: made from a guest and its placement, and read again."""

from __future__ import annotations

from launcher.cli.machine import console_paths, read_template
from launcher.cli.orders import DomainOrder, DomainRecord
from launcher.domain.blueprint import Blueprint
from launcher.domain.read import read_agent_connected, read_has_run, read_plan, read_type, read_vcpus
from launcher.domain.render import render
from launcher.planner.iothreads import lay_out_iothreads
from launcher.storage.prepare import prepare_storage


def make_domain(order: DomainOrder) -> str:
    """Prepare the guest's disks and return the domain XML; raises InvalidVMI or TemplateError."""
    template = read_template(order.template, order.guest.arch)
    blueprint = Blueprint(
        guest=order.guest,
        pinning=order.pinning,
        iothreads=lay_out_iothreads(order.guest),
        virt_type=order.virt_type,
        arch=order.guest.arch,
        console=console_paths(order.root, order.guest),
        images=prepare_storage(order.guest, order.mounts, order.root),
        shares_iothreads=order.shares_iothreads,
    )
    return render(blueprint, *template)


def read_domain(xml: str) -> DomainRecord:
    """Read what a running domain's live XML says of itself; raises ValueError where the record cannot be read."""
    return DomainRecord(
        pinning=read_plan(xml),
        virt_type=read_type(xml),
        vcpus=read_vcpus(xml),
        has_run=read_has_run(xml),
        agent_connected=read_agent_connected(xml),
    )
