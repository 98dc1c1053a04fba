"""The domain's identity: its type, name and UUID, and the plan recorded in its metadata."""

from __future__ import annotations

from lxml import etree
from msgspec.structs import replace

from launcher.domain.blueprint import Blueprint
from launcher.domain.names import PLAN_NAMESPACE, PLAN_PREFIX, domain_name
from launcher.domain.xml import Element, add, child_of
from launcher.planner.document import to_json
from launcher.planner.model import Pinning


def fill_identity(domain: Element, blueprint: Blueprint) -> None:
    """Write type, name, UUID and metadata; the plan goes in, so that an adopting launcher need not guess."""
    domain.set("type", blueprint.virt_type)
    add(domain, "name", domain_name(blueprint.guest))
    if blueprint.guest.uuid is not None:
        add(domain, "uuid", blueprint.guest.uuid)
    child_of(domain, "metadata").append(_plan_element(blueprint.pinning))


def plan_record(pinning: Pinning) -> str:
    """Return the metadata element that records this plan, as text: what a replanned guest's domain is given.

    It has no namespace: virDomainSetMetadata gives it one, and refuses an element that declares it already.
    """
    plan = etree.Element("plan")
    plan.text = _record(pinning)
    return etree.tostring(plan, encoding="unicode")


def _plan_element(pinning: Pinning) -> Element:
    plan = etree.Element(f"{{{PLAN_NAMESPACE}}}plan", nsmap={PLAN_PREFIX: PLAN_NAMESPACE})
    plan.text = _record(pinning)
    return plan


def _record(pinning: Pinning) -> str:
    """Write down where every thread belongs, but not why: of 512 vCPUs that is two thirds, and `plan` says it anew."""
    return to_json(replace(pinning, reasons=()))
