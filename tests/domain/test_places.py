"""Where a running domain's devices are, read from its live XML."""

from __future__ import annotations

import pytest

from launcher.domain.places import Place, read_places

CARD = """<interface type='user'><mac address='52:54:00:12:34:56'/><alias name='ua-default'/>
  <address type='pci' domain='0x0000' bus='0x01' slot='0x0a' function='0x0'/></interface>"""
CARD_OF_ANOTHER_PROGRAM = (
    "<interface type='user'><address type='pci' bus='0x01' slot='0x00' function='0x0'/></interface>"
)
DEVICE = """<hostdev mode='subsystem' type='pci'>
  <source><address domain='0x0000' bus='0x41' slot='0x00' function='0x1'/></source><alias name='ua-gpu-g'/>
  <address type='pci' domain='0x0000' bus='0xfe' slot='0x00' function='0x0'/></hostdev>"""
MEDIATED = """<hostdev mode='subsystem' type='mdev'>
  <source><address uuid='6a1a24a1-4061-4607-8bf4-a3963d0c5895'/></source><alias name='ua-hostdevice-m'/>
  <address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x0'/></hostdev>"""
USB = """<hostdev mode='subsystem' type='usb'><source><address bus='1' device='3'/></source>
  <alias name='ua-hostdevice-u'/><address type='usb' bus='0' port='2'/></hostdev>"""
PLACES = [
    (CARD, Place(alias="ua-default", bus="pci", address="0000:01:0a.0", mac="52:54:00:12:34:56")),
    (DEVICE, Place(alias="ua-gpu-g", bus="pci", address="0000:fe:00.0", host_address="0000:41:00.1")),
    (
        MEDIATED,
        Place(
            alias="ua-hostdevice-m",
            bus="pci",
            address="0000:02:00.0",
            host_address="6a1a24a1-4061-4607-8bf4-a3963d0c5895",
        ),
    ),
    (USB, Place(alias="ua-hostdevice-u", bus="usb", address="0:2", host_address="1:3")),
]


@pytest.mark.parametrize(("element", "place"), PLACES, ids=[place.alias for _, place in PLACES])
def test_a_device_is_read_with_its_address_for_the_guest_and_on_the_host(element: str, place: Place) -> None:
    assert read_places(f"<domain><devices>{element}</devices></domain>") == (place,)


def test_cards_come_before_the_hosts_devices_and_what_has_no_alias_is_left_out() -> None:
    xml = f"<domain><devices>{DEVICE}{CARD_OF_ANOTHER_PROGRAM}{CARD}</devices></domain>"
    assert [place.alias for place in read_places(xml)] == ["ua-default", "ua-gpu-g"]


@pytest.mark.parametrize("xml", ["<domain/>", "<domain><devices/></domain>"])
def test_a_domain_without_devices_has_none(xml: str) -> None:
    assert read_places(xml) == ()


def test_what_is_no_domain_is_refused() -> None:
    with pytest.raises(ValueError, match="not XML"):
        read_places("<domain")
