"""What SMBIOS says of the system and its case: the manifest's words beside the template's."""

from __future__ import annotations

from msgspec.structs import asdict

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add, child_of


def fill_smbios(domain: Element, blueprint: Blueprint) -> None:
    """Write sysinfo, and os/smbios where the manifest or the template has one."""
    board = blueprint.guest.board
    chassis = {name: text for name, text in asdict(board.chassis).items() if text}
    if board.serial_number is not None:
        add(child_of(_smbios(domain), "system"), "entry", board.serial_number, name="serial")
    if chassis:
        element = child_of(_smbios(domain), "chassis")
        for name, text in chassis.items():
            add(element, "entry", text, name=name)
    if domain.find("sysinfo[@type='smbios']") is not None:
        add(child_of(domain, "os"), "smbios", mode="sysinfo")


def _smbios(domain: Element) -> Element:
    found = domain.find("sysinfo[@type='smbios']")
    return add(domain, "sysinfo", type="smbios") if found is None else found
