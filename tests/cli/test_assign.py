"""What the supervisor is handed to decide with once the cpuset has changed under a running guest."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from launcher.cli import assign
from launcher.cli.assign import assignment_of
from launcher.cli.begin import Beginning, Found
from launcher.cli.desk import Desk
from launcher.cli.manifest_jobs import ward_of
from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.capture import parse_capture
from launcher.host.model import AllowedCPUs
from launcher.host.sysfs import read_host
from launcher.hypervisor.process import QEMUProcess
from launcher.planner.model import Pinning
from launcher.planner.plan import plan
from launcher.supervise.device_watch import HeldDevice
from launcher.supervise.lifecycle import Started
from launcher.supervise.stopwatch import Stopwatch
from launcher.vmi.guest import Guest, GuestCPU, GuestMemory, Topology
from tests.host.pci_machines import row, text_of

# The even CPUs are node 0's, the odd ones node 1's; one device hangs on each node, and a USB device on neither.
HOST = Path(__file__).parents[1] / "hosts" / "x86-2s2n8c2t-dealt.host"
DEVICES = (*row("pci0000:40", 0, "0000:41:00.0"), *row("pci0000:c0", 1, "0000:c1:00.0", mediated=("4b20d080",)))
TREE = parse_capture(HOST.read_text() + text_of(DEVICES), "two-nodes.host")
GUEST = Guest(
    name="g", cpu=GuestCPU(topology=Topology(cores=2), dedicated=True), memory=GuestMemory(guest_bytes=1 << 30)
)
# Both vCPUs have to move, and both nodes have room for them: nothing but the devices tells between the nodes.
NOW = AllowedCPUs(cpus=CPUSet.parse("4-7"), source="test")


def planned() -> Pinning:
    return plan(GUEST, read_host(TREE, "x86_64"), AllowedCPUs(cpus=CPUSet.parse("0,2"), source="test"))


def planned_anew(monkeypatch: pytest.MonkeyPatch, *addresses: str, vcpus: int = 2) -> list[int]:
    """Plan for the changed cpuset as the supervisor of a guest with these devices does; return the vCPUs' CPUs."""
    monkeypatch.setattr(assign, "this_machine", lambda: TREE)
    nothing = cast("Any", None)
    desk = Desk(
        options=Namespace(drift="repair"),
        workshop=nothing,
        stopwatch=Stopwatch(),
        outlet=nothing,
        is_stopping=lambda: False,
    )
    found = Found(
        machine=nothing,
        process=QEMUProcess(pid=0, pidfd=-1),
        pinning=planned(),
        graded=nothing,
        vcpus=vcpus,
        virt_type="qemu",
        first_event=Started(),
        devices=tuple(HeldDevice(alias="ua-d", address=address) for address in addresses),
    )
    beginning = Beginning(ward=ward_of(GUEST), desk=desk, on_planned=lambda _pinning: None)
    assignment = assignment_of(found, beginning, cast("Any", SimpleNamespace()))
    return [pin.cpu for pin in assignment.replan(found.pinning, NOW).vcpus]


@pytest.mark.parametrize(
    ("addresses", "cpus"),
    [
        pytest.param((), [4, 6], id="no devices"),
        pytest.param(("0000:41:00.0",), [4, 6], id="a device of node 0"),
        pytest.param(("0000:c1:00.0",), [5, 7], id="a device of node 1"),
        pytest.param(("4b20d080",), [5, 7], id="a mediated device of node 1"),
        pytest.param(("1:2",), [4, 6], id="a USB device, which hangs on no node"),
        pytest.param(("0000:c1:00.0", "0000:41:00.0"), [4, 6], id="a device of each node"),
    ],
)
def test_a_running_launcher_moves_vcpus_to_the_nodes_of_the_devices_that_qemu_holds(
    monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...], cpus: list[int]
) -> None:
    assert planned_anew(monkeypatch, *addresses) == cpus


def test_a_manifest_with_another_number_of_vcpus_is_not_planned_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HostError, match="has 2 vCPUs by now, the guest 3"):
        planned_anew(monkeypatch, vcpus=3)
