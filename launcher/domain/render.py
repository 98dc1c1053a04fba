"""The renderer: from a blueprint and a template to the text of the domain XML."""

from __future__ import annotations

from lxml import etree

from launcher.domain.balloon import fill_balloon
from launcher.domain.blueprint import Blueprint
from launcher.domain.boot import fill_boot
from launcher.domain.channels import fill_channels
from launcher.domain.clock import fill_clock
from launcher.domain.console import fill_console
from launcher.domain.disks import fill_disks
from launcher.domain.features import fill_features
from launcher.domain.filesystems import fill_filesystems
from launcher.domain.firmware_files import fill_firmware_files
from launcher.domain.graphics import fill_graphics
from launcher.domain.hostdevs import fill_hostdevs
from launcher.domain.identity import fill_identity
from launcher.domain.inputs import fill_inputs
from launcher.domain.interfaces import fill_interfaces
from launcher.domain.interrupts import fill_interrupts
from launcher.domain.memory import fill_memory
from launcher.domain.order import sort_elements
from launcher.domain.processors import fill_processors
from launcher.domain.reboot import fill_reboot
from launcher.domain.redirection import fill_redirection
from launcher.domain.rng import fill_rng
from launcher.domain.smbios import fill_smbios
from launcher.domain.sound import fill_sound
from launcher.domain.template import parse_template
from launcher.domain.tpm import fill_tpm
from launcher.domain.virtio import make_transitional
from launcher.domain.vsock import fill_vsock
from launcher.domain.watchdog import fill_watchdog
from launcher.domain.xml import child_of

_CONCERNS = (
    fill_identity,
    fill_memory,
    fill_processors,
    fill_boot,
    fill_smbios,
    fill_firmware_files,
    fill_features,
    fill_interrupts,
    fill_clock,
    fill_reboot,
)
_DEVICES = (
    fill_disks,
    fill_filesystems,
    fill_interfaces,
    fill_console,
    fill_channels,
    fill_inputs,
    fill_redirection,
    fill_tpm,
    fill_graphics,
    fill_sound,
    fill_watchdog,
    fill_balloon,
    fill_rng,
    fill_vsock,
    fill_hostdevs,
)


def render(blueprint: Blueprint, template: bytes, template_source: str) -> str:
    """Fill the template with the guest and its placement; the same input gives the same text.

    Raises TemplateError where the template cannot be used (`parse_template`).
    """
    domain = parse_template(template, template_source)
    for fill in _CONCERNS:
        fill(domain, blueprint)
    devices = child_of(domain, "devices")
    for fill_device in _DEVICES:
        fill_device(devices, blueprint)
    if blueprint.guest.peripherals.is_transitional:
        make_transitional(devices)
    sort_elements(domain)
    return etree.tostring(domain, pretty_print=True, encoding="unicode")
