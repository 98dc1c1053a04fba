"""What a guest is told of its tagged devices: from the live domain, the plan in it and the host's PCI tree."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from msgspec.structs import replace

from launcher.cli import tagging
from launcher.cpuset import CPUSet
from launcher.domain.names import PLAN_NAMESPACE
from launcher.errors import HypervisorError
from launcher.planner.document import to_json
from launcher.planner.model import Pinning, VCPUPin
from launcher.vmi.guest import Guest
from tests.host.pci_machines import row, tree_of
from tests.storage.test_tags import prepared, tagged, told

MACHINE = tree_of((*row("pci0000:40", 0, "0000:41:00.0"), *row("pci0000:c0", 1, "0000:c1:00.0")))
# vCPU 0 on node 1's CPU 9, vCPU 1 on node 0's CPU 2, vCPU 2 on node 1's CPU 8.
PINS = tuple(
    VCPUPin(vcpu=vcpu, cpu=cpu, core=cpu, socket=node, node=node)
    for vcpu, (cpu, node) in enumerate(((9, 1), (2, 0), (8, 1)))
)
PLAN = Pinning(cpuset=CPUSet.parse("2,3,8,9"), source="test", vcpus=PINS, emulator=CPUSet.parse("3"))
CARD = """<interface><mac address='02:00:00:00:00:01'/><alias name='ua-a'/>
  <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></interface>"""
SEEN_CARD = {"type": "nic", "bus": "pci", "address": "0000:01:00.0", "mac": "02:00:00:00:00:01", "tags": ["front"]}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagging, "this_machine", lambda: MACHINE)


def hostdev(bus: str) -> str:
    return f"""<hostdev><source><address domain='0x0000' bus='0x{bus}' slot='0x00' function='0x0'/></source>
      <alias name='ua-hostdevice-q'/>
      <address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x0'/></hostdev>"""


def domain(*devices: str, plan: Pinning | None = PLAN) -> str:
    metadata = "" if plan is None else f"<l:plan xmlns:l='{PLAN_NAMESPACE}'>{escape(to_json(plan))}</l:plan>"
    return f"<domain><metadata>{metadata}</metadata><devices>{''.join(devices)}</devices></domain>"


def with_cells(guest: Guest) -> Guest:
    return replace(guest, cpu=replace(guest.cpu, numa_passthrough=True))


@pytest.mark.parametrize(
    ("guest", "xml", "near"),
    [
        (tagged(), domain(CARD, hostdev("c1")), {"alignedCPUs": [2, 0]}),
        (tagged(), domain(CARD, hostdev("41")), {"alignedCPUs": [1]}),
        (tagged(), domain(CARD, hostdev("c1"), plan=None), {}),
        (with_cells(tagged()), domain(CARD, hostdev("c1")), {"numaNode": 1}),
        # KubeVirt leaves out what is 0 (omitempty).
        (with_cells(tagged()), domain(CARD, hostdev("41")), {}),
        # Gone meanwhile, or never known.
        (tagged(), domain(CARD, hostdev("99")), {}),
    ],
    ids=["two vCPUs", "one vCPU", "no plan", "cells, node 1", "cells, node 0", "not on this host"],
)
def test_a_device_of_the_host_says_what_is_near_it(
    guest: Guest, xml: str, near: dict[str, object], tmp_path: Path
) -> None:
    folder = prepared(guest, tmp_path)
    tagging.tell_tags(guest, tmp_path / "root", xml)
    device = {"type": "hostdev", "bus": "pci", "address": "0000:02:00.0", **near, "tags": ["qat"]}
    assert told(folder) == [SEEN_CARD, device]


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (domain(hostdev("41")), "no address of the tagged device ua-a"),
        (domain(CARD), "no address of the tagged device ua-hostdevice-q"),
        ("<domain", "the domain's XML: not XML"),
    ],
)
def test_a_tagged_device_that_is_not_found_is_told(xml: str, message: str, tmp_path: Path) -> None:
    prepared(tagged(), tmp_path)
    with pytest.raises(HypervisorError, match=message):
        tagging.tell_tags(tagged(), tmp_path / "root", xml)
