"""Devices of the host in a guest's hands, on a node with an IOMMU: where they hang, that they work, what is refused."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.host.pci import driver_of, iommu_group
from tests.e2e.containers import USER, Container, Kubelet, run_container, wait_until
from tests.e2e.guests import example
from tests.e2e.vfio import CARDS, MACHINE, NETWORK_CARD, ON_NODE_0, ON_NODE_1, PCI, bind, bind_all, neighbour

VARIABLE = "PCI_RESOURCE_EXAMPLE_COM_RNG"


@pytest.fixture(autouse=True)
def bound(shape: str, node: Path) -> None:
    """Every function of every card bound to vfio-pci, its group's file the launcher user's, as device plugins do it."""
    assert shape == "vfio-2n"
    bind_all()
    for card in (*CARDS, NETWORK_CARD):
        found = iommu_group(MACHINE, card)
        assert found is not None
        os.chown(f"/dev/vfio/{found[0]}", USER, USER)


@pytest.fixture
def kubelet() -> Iterator[Kubelet]:
    """A kubelet that has nothing handed out."""
    kubelet = Kubelet()
    yield kubelet
    kubelet.close()


def guest(devices: int) -> dict[str, Any]:
    """Return a guest of all the CPUs that there are, with a cell on each node, and so many devices of one resource."""
    vmi = example("demo")
    domain = vmi["spec"]["domain"]
    domain["cpu"] = {"cores": 6, "dedicatedCpuPlacement": True, "numa": {"guestMappingPassthrough": {}}}
    domain["memory"] = {"guest": "384Mi", "hugepages": {"pageSize": "2Mi"}}
    domain["resources"] = {}
    domain["devices"]["hostDevices"] = [{"name": f"d{n}", "deviceName": "example.com/rng"} for n in range(devices)]
    return vmi


def start(
    kubelet: Kubelet, cache: Path, addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, memlock: str = ""
) -> Container:
    """Start the guest in a container whose device plugin gave it these devices."""
    monkeypatch.setenv("CONTAINER_VARIABLES", f"{VARIABLE}={','.join(addresses)}")
    if memlock:
        monkeypatch.setenv("CONTAINER_MEMLOCK", memlock)
    return run_container(kubelet, guest(len(addresses)), cache, "--log-format", "text", kvm=True)


def test_the_guest_sees_each_device_on_its_node_and_root_and_has_bytes_of_it(
    kubelet: Kubelet, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = start(kubelet, node, CARDS, monkeypatch)
    container.wait_for("phase: running")
    container.wait_for("guest: ready")
    placed = [line for line in container.lines if "guest: placed=" in line]
    found = [re.search(r"placed=1af4:1044 numa_node=(\d) root=(\S+)", line) for line in placed]
    nodes = [int(match[1]) for match in found if match]
    roots = {match[2] for match in found if match}
    assert sorted(nodes) == [0, 1, 1], placed
    assert len(roots) == 3, placed
    assert sum("bytes=32" in line for line in container.lines) == 3, container.lines
    container.signal(signal.SIGTERM)
    assert container.wait() == 0
    container.close()
    _again_and_again(kubelet, node, monkeypatch)


def _again_and_again(kubelet: Kubelet, node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start and end it twenty times in all, before its kernel is up: a device that was given back is there again."""
    for _ in range(19):
        container = start(kubelet, node, CARDS, monkeypatch)
        container.wait_for("phase: running")
        container.signal(signal.SIGINT)
        container.signal(signal.SIGINT)
        assert container.wait() in (0, 9)
        container.close()
    assert [driver_of(MACHINE, card) for card in CARDS] == ["vfio-pci"] * 3


def test_frames_go_through_a_network_card_of_the_host(
    kubelet: Kubelet, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vmi = guest(1)
    devices = vmi["spec"]["domain"]["devices"]
    devices["autoattachPodInterface"] = False
    devices["hostDevices"][0]["deviceName"] = "example.com/nic"
    vmi["spec"]["domain"]["firmware"]["kernelBoot"]["kernelArgs"] += " guest.serve=80"
    monkeypatch.setenv("CONTAINER_VARIABLES", f"PCI_RESOURCE_EXAMPLE_COM_NIC={NETWORK_CARD}")
    container = run_container(kubelet, vmi, node, "--log-format", "text", kvm=True)
    container.wait_for("guest: address=10.0.2.15 port=80")
    container.signal(signal.SIGTERM)
    assert container.wait() == 0
    container.close()


def test_a_device_that_the_host_takes_away_is_told_and_the_guest_goes_on(
    kubelet: Kubelet, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = start(kubelet, node, CARDS, monkeypatch)
    container.wait_for("guest: ready")
    assert _devices_present(container) == ("True", "AllThere")
    # The kernel asks QEMU, which asks the guest, for the device, and waits until it has it.
    removing = subprocess.Popen(["sh", "-c", f"echo 1 >{PCI}/devices/{ON_NODE_1}/remove"])
    try:
        container.wait_for(f"device: hostdevice-d1 .{ON_NODE_1}. was taken out of the guest")
        wait_until(lambda: _devices_present(container) == ("False", "DeviceLost"), "the condition says so")
        assert removing.wait(60) == 0
    finally:
        container.signal(signal.SIGTERM)
        assert container.wait() == 0
        removing.wait(60)
        (PCI / "rescan").write_text("1")
    container.close()


def _devices_present(container: Container) -> tuple[str, str]:
    conditions = json.loads(container.ask("status", "--format", "json"))["conditions"]
    (found,) = [one for one in conditions if one["type"] == "DevicesPresent"]
    return found["status"], found["reason"]


def test_a_neighbour_in_the_group_that_the_host_drives_is_refused_before_qemu(
    kubelet: Kubelet, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bind(neighbour(ON_NODE_1), "virtio-pci")
    container = start(kubelet, node, (ON_NODE_1,), monkeypatch)
    said = container.wait_for("shares IOMMU group")
    assert f"with {neighbour(ON_NODE_1)}, bound to virtio-pci; bind that to vfio-pci, too" in said
    assert container.wait() == 7
    container.close()


def test_another_driver_is_refused_before_qemu(kubelet: Kubelet, node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bind(ON_NODE_0, "virtio-pci")
    container = start(kubelet, node, (ON_NODE_0,), monkeypatch)
    container.wait_for(f"{ON_NODE_0} is bound to virtio-pci; wanted vfio-pci")
    assert container.wait() == 7
    container.close()


def test_too_little_lockable_memory_is_refused_with_both_numbers(
    kubelet: Kubelet, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = start(kubelet, node, (ON_NODE_0,), monkeypatch, memlock="67108864:67108864")
    container.wait_for(
        "RLIMIT_MEMLOCK: QEMU may lock 64 MiB, and devices of the host lock the guest's memory, 1408 MiB"
    )
    assert container.wait() == 7
    container.close()


def test_a_group_of_somebody_else_is_refused(kubelet: Kubelet, node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = iommu_group(MACHINE, ON_NODE_0)
    assert found is not None
    os.chown(f"/dev/vfio/{found[0]}", 0, 0)
    container = start(kubelet, node, (ON_NODE_0,), monkeypatch)
    container.wait_for(f"/dev/vfio/{found[0]} is not there, or not readable and writable for this user")
    assert container.wait() == 7
    container.close()
