"""What becomes of a guest that reboots: it goes on under its launcher, or ends (KubeVirt's rebootPolicy)."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, child_of


def fill_reboot(domain: Element, blueprint: Blueprint) -> None:
    """Write the manifest's wish over the template's."""
    ends = blueprint.guest.board.ends_at_reboot
    if ends is not None:
        child_of(domain, "on_reboot").text = "destroy" if ends else "restart"
