"""The verbs on a guest with devices of the host: a dry run from a capture shows where they hang."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launcher.cli import main
from launcher.cli.arguments import parse_arguments
from launcher.cli.machine import host_of
from launcher.vmi.load import load_guest
from tests.host.pci_machines import row, text_of

HOST = Path(__file__).parents[1] / "hosts/x86-2s2n8c2t-offline3.host"
VARIABLE = "PCI_RESOURCE_EXAMPLE_COM_NIC"
VMI = """
apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata: {name: fast}
spec:
  domain:
    cpu: {cores: 2, dedicatedCpuPlacement: true}
    memory: {guest: 1Gi}
    devices: {hostDevices: [{name: nic, deviceName: example.com/nic}]}
"""


@pytest.fixture
def described(tmp_path: Path) -> tuple[str, str]:
    """A manifest, and a captured host with a NIC on each of its two nodes."""
    (tmp_path / "vmi.yaml").write_text(VMI)
    devices = (*row("pci0000:17", 0, "0000:18:00.0"), *row("pci0000:85", 1, "0000:86:00.0"))
    (tmp_path / "nfv.host").write_text(HOST.read_text() + text_of(devices))
    return str(tmp_path / "vmi.yaml"), str(tmp_path / "nfv.host")


def _plan(described: tuple[str, str], *words: str) -> int:
    vmi, host = described
    return main(["plan", vmi, "--host", host, *words])


def test_a_plan_shows_where_each_device_hangs_and_how_far_the_vcpus_are(
    described: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "0000:18:00.0")
    assert _plan(described, "--cpuset", "1-2") == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "device  address       node  root        cell  distance",
        "nic     0000:18:00.0  0     pci0000:17  -     10",
    ]


def test_a_device_that_no_vcpu_is_near_is_told_with_the_cure(
    described: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(VARIABLE, "0000:86:00.0")
    assert _plan(described, "--cpuset", "1-2", "--format", "json") == 0
    (device,) = json.loads(capsys.readouterr().out)["devices"]
    assert device == {
        "name": "nic",
        "field": "spec.domain.devices.hostDevices[0]",
        "type": "pci",
        "address": "0000:86:00.0",
        "source": VARIABLE,
        "node": 1,
        "root": "pci0000:85",
        "cell": None,
        "nearest": 21,
        "farthest": 21,
    }
    assert "is on node 1, and no vCPU is: its interrupts and memory are at distance 21" in caplog.text


def test_a_plan_without_a_word_of_the_device_is_made_and_says_so(
    described: tuple[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert _plan(described, "--cpuset", "1-2") == 0
    assert caplog.messages == [
        "spec.domain.devices.hostDevices[0]: planned without: nothing here tells which devices they are"
    ]


@pytest.mark.parametrize("verb", ["plan", "render"])
def test_a_device_that_is_not_on_the_host_is_one_line_and_status_4(
    verb: str, described: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "0000:99:00.0")
    vmi, host = described
    assert main([verb, vmi, "--host", host, "--cpuset", "1-2"]) == 4
    assert capsys.readouterr().err == (
        f"virt-launcher: spec.domain.devices.hostDevices[0]: {VARIABLE} tells the PCI device 0000:99:00.0, which is "
        f"not on this host ({host}: /sys/devices)\n"
    )


@pytest.mark.parametrize(
    ("address", "kubelet", "cpuset"),
    [
        ("0000:18:00.0", "topology-manager=restricted", "0,2"),
        ("0000:86:00.0", "topology-manager=restricted", "8-9"),
        # Nobody asks where the device is.
        ("0000:86:00.0", "", "0,2"),
        ("0000:18:00.0", "topology-manager=restricted,device-nodes=1", "8-9"),
    ],
)
def test_a_simulated_kubelet_takes_the_cpus_on_the_devices_node(
    address: str, kubelet: str, cpuset: str, described: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, address)
    vmi, host = described
    _, allowed = host_of(parse_arguments(["plan", vmi, "--host", host, "--kubelet", kubelet]), load_guest(vmi))
    assert str(allowed.cpus) == cpuset


def test_a_simulated_kubelet_refuses_cpus_and_devices_that_are_on_no_node_together(
    described: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "0000:86:00.0")
    vmi, _ = described
    manifest = Path(vmi)
    manifest.write_text(manifest.read_text().replace("cores: 2", "cores: 14"))
    assert _plan(described, "--kubelet", "topology-manager=single-numa-node") == 5
    assert "the devices are on NUMA nodes 1)" in capsys.readouterr().err


def test_nodes_of_devices_are_for_a_topology_manager(
    described: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _plan(described, "--kubelet", "device-nodes=1") == 2
    assert "device-nodes is for a topology-manager, and there is none" in capsys.readouterr().err
    assert _plan(described, "--kubelet", "topology-manager=restricted,device-nodes=7") == 2
    assert "device-nodes: found 7, wanted NUMA nodes of the host (0-1)" in capsys.readouterr().err
