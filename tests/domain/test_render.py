"""The domain XML: whole documents against golden files, libvirt's schema, and the plan read back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from msgspec.structs import replace

from launcher.domain.disks import drive_letters
from launcher.domain.identity import plan_record
from launcher.domain.names import PLAN_NAMESPACE, RUN_MARK, RUN_NAMESPACE
from launcher.domain.read import read_agent_connected, read_has_run, read_plan, read_type, read_vcpus
from launcher.domain.render import render
from launcher.planner.document import to_json
from launcher.planner.model import Reason
from launcher.vmi.guest import KernelBoot
from tests.domain.blueprints import BLUEPRINTS, pinned_kernel_boot
from tests.goldens import assert_golden

CHECKOUT = Path(__file__).parent.parent.parent
GOLDEN = CHECKOUT / "tests/golden"

# Part of Debian's libvirt0, so it is there wherever libvirt is.
SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")

# libvirt 9.0, whose schema this is, does not know one disk served by several IOThreads (10.0 does).
NEWER_THAN_SCHEMA = {"pool-shared"}


def _rendered(name: str) -> str:
    blueprint = BLUEPRINTS[name]()
    template = CHECKOUT / f"templates/domain/{blueprint.arch}.xml"
    return render(blueprint, template.read_bytes(), "template")


@pytest.fixture(scope="module")
def schema() -> etree.RelaxNG:
    return etree.RelaxNG(etree.parse(str(SCHEMA)))


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_the_domain_xml_is_the_golden_one(name: str) -> None:
    assert_golden(GOLDEN / f"{name}.xml", _rendered(name))


@pytest.mark.parametrize("name", sorted(BLUEPRINTS.keys() - NEWER_THAN_SCHEMA))
def test_the_domain_xml_is_valid_by_libvirts_schema(name: str, schema: etree.RelaxNG) -> None:
    document = etree.fromstring(_rendered(name))
    assert schema.validate(document), schema.error_log


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_the_plan_is_read_back_as_it_was_written(name: str) -> None:
    blueprint = BLUEPRINTS[name]()
    xml = _rendered(name)
    recorded = replace(blueprint.pinning, reasons=())
    wanted = (recorded, blueprint.virt_type, blueprint.guest.cpu.topology.vcpus, False)
    assert (read_plan(xml), read_type(xml), read_vcpus(xml), read_has_run(xml)) == wanted


def test_a_record_is_read_back_once_libvirt_has_put_it_into_its_namespace() -> None:
    pinning = pinned_kernel_boot().pinning
    # What virDomainSetMetadata makes of an element: the namespace and its prefix for every one, and nothing else.
    record = (
        plan_record(pinning).replace("<plan", f"<l:plan xmlns:l='{PLAN_NAMESPACE}'").replace("</plan>", "</l:plan>")
    )
    mark = RUN_MARK.replace("<has-run", f"<r:has-run xmlns:r='{RUN_NAMESPACE}'")
    xml = f"<domain><metadata>{record}{mark}</metadata></domain>"
    assert (read_plan(xml), read_has_run(xml)) == (pinning, True)


def test_a_record_says_where_and_not_why() -> None:
    reason = Reason(thread="vcpu 0", text="the lowest free CPU")
    explained = replace(pinned_kernel_boot().pinning, reasons=(reason,))
    assert plan_record(explained) == plan_record(replace(explained, reasons=()))
    assert reason.text not in plan_record(explained)


def test_a_record_of_the_version_before_is_read_with_its_reasons() -> None:
    explained = replace(pinned_kernel_boot().pinning, reasons=(Reason(thread="vcpu 0", text="the lowest free CPU"),))
    xml = f"<domain><metadata><a:plan xmlns:a='{PLAN_NAMESPACE}'>{to_json(explained)}</a:plan></metadata></domain>"
    assert read_plan(xml) == explained


@pytest.mark.parametrize(("state", "wanted"), [("connected", True), ("disconnected", False), ("", False)])
def test_the_agents_state_is_read_from_the_live_channel(state: str, wanted: bool) -> None:
    target = f"<target type='virtio' name='org.qemu.guest_agent.0' state='{state}'/>"
    assert read_agent_connected(f"<domain><devices><channel>{target}</channel></devices></domain>") is wanted


def test_a_domain_that_no_launcher_started_has_no_plan() -> None:
    assert read_plan("<domain type='kvm'><name>x</name></domain>") is None


def test_a_record_that_cannot_be_read_is_an_error_and_no_guess() -> None:
    xml = "<domain><metadata><a:plan xmlns:a='urn:virt-launcher:plan:1'>{}</a:plan></metadata></domain>"
    with pytest.raises(ValueError, match="missing"):
        read_plan(xml)


@given(
    st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), min_size=1
    )
)
def test_no_kernel_argument_becomes_xml(arguments: str) -> None:
    blueprint = pinned_kernel_boot()
    guest = replace(blueprint.guest, kernel_boot=KernelBoot(kernel="/k", arguments=arguments))
    xml = render(replace(blueprint, guest=guest), b"<domain/>", "template")
    elements = etree.fromstring(xml).findall("os/*")
    assert [element.tag for element in elements] == ["type", "kernel", "cmdline"]
    assert elements[2].text == arguments


@pytest.mark.parametrize(
    ("index", "letters"), [(0, "a"), (25, "z"), (26, "aa"), (51, "az"), (52, "ba"), (701, "zz"), (702, "aaa")]
)
def test_drives_are_lettered_as_linux_does(index: int, letters: str) -> None:
    assert drive_letters(index) == letters
