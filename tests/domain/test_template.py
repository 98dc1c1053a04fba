"""The domain template: kept where it is the site's, refused where it is the launcher's."""

from __future__ import annotations

import re

import pytest
from lxml import etree

from launcher.domain.render import render
from launcher.domain.template import OWNED_PATHS, parse_template
from launcher.errors import TemplateError
from tests.domain.blueprints import smallest


def test_everything_of_the_sites_own_is_kept() -> None:
    template = b"""<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
      <metadata><site:owner xmlns:site='urn:site'>us</site:owner></metadata>
      <features><acpi/><vmport state='off'/></features>
      <devices><rng model='virtio'><backend model='random'>/dev/urandom</backend></rng></devices>
      <qemu:commandline><qemu:arg value='-foo'/></qemu:commandline>
    </domain>"""
    domain = etree.fromstring(render(smallest(), template, "t.xml"))
    kept = ("metadata/{urn:site}owner", "features/vmport", "devices/rng/backend", "{*}commandline/{*}arg")
    assert [domain.find(path) is not None for path in kept] == [True] * len(kept)


def test_elements_come_in_libvirts_order_and_comments_stay_with_theirs() -> None:
    template = b"<domain><!-- of devices --><devices/><site/><!-- of clock --><clock/></domain>"
    domain = etree.fromstring(render(smallest(), template, "t.xml"))
    shown = [child.tag if isinstance(child.tag, str) else f"#{child.text.strip()}" for child in domain]
    assert shown[:8] == ["name", "metadata", "memory", "vcpu", "cputune", "os", "features", "cpu"]
    assert shown[8:] == ["#of clock", "clock", "#of devices", "devices", "site"]


OWNED_EXAMPLES = {
    "@type": "<domain type='kvm'/>",
    "name": "<domain>\n<name>x</name></domain>",
    "uuid": "<domain>\n<uuid>x</uuid></domain>",
    "metadata/{urn:virt-launcher:plan:1}plan": (
        "<domain><metadata>\n<a:plan xmlns:a='urn:virt-launcher:plan:1'/></metadata></domain>"
    ),
    "memory": "<domain>\n<memory>1</memory></domain>",
    "currentMemory": "<domain>\n<currentMemory>1</currentMemory></domain>",
    "maxMemory": "<domain>\n<maxMemory>1</maxMemory></domain>",
    "memoryBacking": "<domain>\n<memoryBacking/></domain>",
    "vcpu": "<domain>\n<vcpu>1</vcpu></domain>",
    "vcpus": "<domain>\n<vcpus/></domain>",
    "iothreads": "<domain>\n<iothreads>1</iothreads></domain>",
    "iothreadids": "<domain>\n<iothreadids/></domain>",
    "cputune": "<domain>\n<cputune/></domain>",
    "numatune": "<domain>\n<numatune/></domain>",
    "os": "<domain>\n<os/></domain>",
    "cpu": "<domain>\n<cpu/></domain>",
    "devices/disk": "<domain><devices>\n<disk/></devices></domain>",
    "devices/serial": "<domain><devices>\n<serial/></devices></domain>",
    "devices/console": "<domain><devices>\n<console/></devices></domain>",
    "devices/interface": "<domain><devices>\n<interface/></devices></domain>",
    "devices/channel/target[@name='org.qemu.guest_agent.0']": (
        "<domain><devices><channel>\n<target name='org.qemu.guest_agent.0'/></channel></devices></domain>"
    ),
    "devices/input": "<domain><devices>\n<input/></devices></domain>",
    "devices/tpm": "<domain><devices>\n<tpm/></devices></domain>",
    "devices/graphics": "<domain><devices>\n<graphics/></devices></domain>",
    "devices/video": "<domain><devices>\n<video/></devices></domain>",
    "devices/sound": "<domain><devices>\n<sound/></devices></domain>",
    "devices/audio": "<domain><devices>\n<audio/></devices></domain>",
    "devices/watchdog": "<domain><devices>\n<watchdog/></devices></domain>",
    "devices/vsock": "<domain><devices>\n<vsock/></devices></domain>",
    "devices/hostdev": "<domain><devices>\n<hostdev/></devices></domain>",
    "sysinfo/system/entry[@name='serial']": (
        "<domain><sysinfo type='smbios'><system>\n<entry name='serial'>1</entry></system></sysinfo></domain>"
    ),
    "sysinfo/chassis": "<domain><sysinfo type='smbios'>\n<chassis/></sysinfo></domain>",
}


def test_there_is_an_example_for_every_path_that_is_owned() -> None:
    assert tuple(OWNED_EXAMPLES) == OWNED_PATHS


@pytest.mark.parametrize("path", OWNED_PATHS)
def test_a_template_that_sets_what_the_launcher_owns_is_refused_with_file_line_and_path(path: str) -> None:
    line = 1 if path == "@type" else 2
    shown = path.replace("{urn:virt-launcher:plan:1}", "")
    with pytest.raises(
        TemplateError, match=rf"^t\.xml: line {line}: /domain/{re.escape(shown)} is written by the launcher"
    ):
        parse_template(OWNED_EXAMPLES[path].encode(), "t.xml")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"", r"t\.xml: line \d+: not well-formed XML"),
        (b"<domain>", r"t\.xml: line 1: not well-formed XML"),
        (b"\xff\xfe", r"t\.xml: line \d+: not well-formed XML"),
        (b"<network/>", r"t\.xml: line 1: found <network> at the top, wanted <domain>"),
        (b"<!DOCTYPE domain><domain/>", r"t\.xml: line 1: a DOCTYPE is not allowed"),
        (
            b"<!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><domain><a>&e;</a></domain>",
            r"a DOCTYPE is not allowed",
        ),
        (b"<!DOCTYPE d SYSTEM 'http://localhost/x.dtd'><domain/>", r"a DOCTYPE is not allowed"),
    ],
    ids=[
        "empty",
        "not closed",
        "no text",
        "another root",
        "a bare DOCTYPE",
        "an entity of a file",
        "a DTD of the network",
    ],
)
def test_a_template_that_cannot_be_trusted_is_refused(text: bytes, wanted: str) -> None:
    with pytest.raises(TemplateError, match=wanted):
        parse_template(text, "t.xml")
