"""The renderer: from a blueprint and a template to the text of the domain XML."""

from __future__ import annotations

from lxml import etree

from launcher.domain.blueprint import Blueprint
from launcher.domain.boot import fill_boot
from launcher.domain.console import fill_console
from launcher.domain.disks import fill_disks
from launcher.domain.identity import fill_identity
from launcher.domain.memory import fill_memory
from launcher.domain.order import sort_elements
from launcher.domain.processors import fill_processors
from launcher.domain.template import parse_template
from launcher.domain.xml import child_of


def render(blueprint: Blueprint, template: bytes, template_source: str) -> str:
    """Fill the template with the guest and its placement; the same input gives the same text.

    Raises TemplateError where the template cannot be used (`parse_template`).
    """
    domain = parse_template(template, template_source)
    for fill in (fill_identity, fill_memory, fill_processors, fill_boot):
        fill(domain, blueprint)
    devices = child_of(domain, "devices")
    for fill_device in (fill_disks, fill_console):
        fill_device(devices, blueprint)
    sort_elements(domain)
    return etree.tostring(domain, pretty_print=True, encoding="unicode")
