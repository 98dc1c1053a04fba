"""The disks of the domain XML beside the golden documents."""

from __future__ import annotations

import pytest
from lxml import etree
from msgspec.structs import replace

from launcher.domain.render import render
from launcher.storage.layout import KUBEVIRT_MOUNTS, expected_images
from launcher.vmi.guest import Disk, DiskBus
from tests.domain.blueprints import smallest

THEIR_OWN = b"""<domain><devices><controller type="scsi" index="0" model="virtio-scsi"><driver queues="4"/></controller>
</devices></domain>"""


def _rendered(disks: tuple[Disk, ...], template: bytes = b"<domain/>") -> etree._Element:
    guest = replace(smallest().guest, disks=disks)
    images = expected_images(guest, KUBEVIRT_MOUNTS, "/root")
    return etree.fromstring(render(replace(smallest(), guest=guest, images=images), template, "template"))


@pytest.mark.parametrize(("template", "queues"), [(b"<domain/>", []), (THEIR_OWN, ["4"])], ids=["none", "one"])
def test_there_is_one_scsi_controller_also_where_the_template_has_it(template: bytes, queues: list[str]) -> None:
    domain = _rendered((Disk(name="a", path="/a", bus=DiskBus.SCSI),), template)
    assert domain.xpath("count(devices/controller[@type='scsi'])") == 1
    assert domain.xpath("devices/controller[@type='scsi']/driver/@queues") == queues


def test_all_scsi_disks_are_on_the_one_controller() -> None:
    disks = tuple(Disk(name=f"d{index}", path="/a", bus=DiskBus.SCSI) for index in range(9))
    domain = _rendered((Disk(name="other", path="/a", bus=DiskBus.SATA), *disks))
    units = domain.xpath("devices/disk/address[@type='drive'][@controller='0'][@bus='0'][@target='0']/@unit")
    assert units == [str(index) for index in range(9)]


def test_no_disk_means_no_controller() -> None:
    assert _rendered(()).xpath("devices/controller | devices/disk") == []
