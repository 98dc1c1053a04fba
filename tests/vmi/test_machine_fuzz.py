"""Any machine at all is either refused or a domain that libvirt's schema accepts, with every text where it belongs."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree
from msgspec.structs import replace

from launcher.domain.render import render
from launcher.errors import InvalidVMI
from launcher.network.expected import expected
from launcher.vmi.load import admitted
from launcher.vmi.manifest import Document, Value
from tests.domain.blueprints import smallest
from tests.vmi.machine_rows import (
    CLOCK,
    CPU_FEATURES,
    DEVICES,
    EVERYTHING,
    FIRMWARE,
    HYPERV,
    INTERFACES,
    NETWORKS,
)
from tests.vmi.manifests import document, manifest
from tests.vmi.test_fuzz import places_in, put_at, texts, values

# Part of Debian's libvirt0, so it is there wherever libvirt is.
SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")
TEMPLATE = Path(__file__).parents[2] / "templates/domain/x86_64.xml"


@cache
def _schema() -> etree.RelaxNG:
    return etree.RelaxNG(etree.parse(str(SCHEMA)))


def _assert_renders(root: Document) -> None:
    """Check that what is admitted renders to a valid domain, and that the rest is refused."""
    try:
        guest = replace(admitted(root).guest, disks=())
    except InvalidVMI:
        return
    xml = render(replace(smallest(), guest=expected(guest)), TEMPLATE.read_bytes(), "template")
    domain = etree.fromstring(xml)
    assert _schema().validate(domain), _schema().error_log
    assert len(domain.findall("devices/interface")) == len(guest.peripherals.interfaces)


@given(st.lists(st.tuples(st.integers(0, 10**6), values | texts), max_size=3))
@example([])
def test_any_change_to_a_machine_is_a_valid_domain_or_refused(changes: list[tuple[int, Value]]) -> None:
    root = manifest(EVERYTHING)
    for index, value in changes:
        found = places_in(root)
        put_at(*found[index % len(found)], copy.deepcopy(value))
    _assert_renders(Document(source="x", root=root))


@given(texts | st.text(max_size=15))
@example("Europe/Berlin")
def test_any_text_of_a_machine_is_in_a_valid_domain_or_refused(text: str) -> None:
    for path, value in (
        (f"{FIRMWARE}.serial", text),
        ("spec.domain.chassis.manufacturer", text),
        (CLOCK, {"timezone": text}),
        (f"{HYPERV}.vendorid.vendorid", text),
        (CPU_FEATURES, [{"name": text}]),
        (f"{INTERFACES}[0].macAddress", text),
        (f"{NETWORKS}[2].multus.networkName", text),
        (f"{DEVICES}.sound.name", text),
    ):
        _assert_renders(document({**EVERYTHING, path: value}))
