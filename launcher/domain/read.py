"""The reader of domain XML: what a running domain says of its plan and its threads' configured pins."""

from __future__ import annotations

from lxml import etree

from launcher.domain.names import PLAN_NAMESPACE
from launcher.domain.xml import parser
from launcher.planner.document import from_json
from launcher.planner.model import Pinning


def read_plan(xml: str) -> Pinning | None:
    """Return the plan that a launcher recorded in this domain's metadata; None where no launcher did.

    Raises ValueError where the record is there but cannot be read.
    """
    domain = etree.fromstring(xml, parser())
    plan = domain.find(f"metadata/{{{PLAN_NAMESPACE}}}plan")
    return None if plan is None or plan.text is None else from_json(plan.text)


def read_type(xml: str) -> str:
    """Return the domain's type, such as kvm or qemu."""
    return etree.fromstring(xml, parser()).get("type", "")
