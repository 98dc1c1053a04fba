"""Virtual functions dealt out to networks: by what Multus writes, by a variable that says enough, or not at all."""

from __future__ import annotations

import json

import pytest

from launcher.errors import HostError
from launcher.host.assigned import Bus
from launcher.host.capture import CaptureTree, parse_capture
from launcher.host.devices import are_functions_told, assign_devices, untold
from launcher.host.network_status import FILE, FunctionUntold
from launcher.vmi.guest_devices import DeviceKind, DeviceRequest
from launcher.vmi.guest_machine import Attachment

VFS, VARIABLE = "openshift.io/fast-vfs", "PCIDEVICE_OPENSHIFT_IO_FAST_VFS"


def function(index: int, network: str, resource: str = VFS) -> DeviceRequest:
    """Return the request of a virtual function on this network, whose device in the Pod is net<index>."""
    attachment = Attachment(namespace="telco", name=network, devices=(f"pod{index}", f"net{index}"))
    return DeviceRequest(
        kind=DeviceKind.VIRTUAL_FUNCTION, index=index, name=f"f{index}", resource=resource, attachment=attachment
    )


def status(**addresses: str) -> CaptureTree:
    """Return the files of a Pod on which Multus has written a virtual function for each of these devices."""
    entries = [{"name": "default", "interface": "eth0", "default": True}]
    told = [
        {"name": "telco/n", "interface": device, "device-info": {"type": "pci", "pci": {"pci-address": address}}}
        for device, address in addresses.items()
    ]
    return tree_of(json.dumps([*entries, *told]))


def tree_of(text: str) -> CaptureTree:
    return parse_capture(f"{FILE}: {text}\n", "pod")


LEFT, RIGHT = function(1, "left"), function(2, "right")


def _addresses(requests: tuple[DeviceRequest, ...], environment: dict[str, str], tree: CaptureTree) -> list[str]:
    return [device.address for device in assign_devices(requests, environment, tree)]


def test_each_network_has_the_function_that_multus_gave_it_whatever_order_a_variable_has() -> None:
    told = status(pod1="0000:41:00.2", net2="0000:41:00.1")
    environment = {VARIABLE: "0000:41:00.1,0000:41:00.2"}
    assert _addresses((LEFT, RIGHT), environment, told) == ["0000:41:00.2", "0000:41:00.1"]
    assert assign_devices((LEFT,), {}, told)[0].bus is Bus.PCI


def test_functions_of_one_network_may_be_told_by_a_variable_in_any_order() -> None:
    twice = (LEFT, function(2, "left"))
    assert _addresses(twice, {VARIABLE: "0000:41:00.1,0000:41:00.2"}, tree_of("")) == ["0000:41:00.1", "0000:41:00.2"]


def test_networks_of_two_resources_are_told_by_two_variables() -> None:
    other = function(2, "right", "intel.com/vf")
    environment = {VARIABLE: "0000:41:00.1", "PCIDEVICE_INTEL_COM_VF": "0000:81:00.1"}
    assert _addresses((LEFT, other), environment, tree_of("")) == ["0000:41:00.1", "0000:81:00.1"]


NOWHERE = "/etc/podinfo/network-status tells none (the Pod's annotation k8s.v1.cni.cncf.io/network-status)"
UNTOLD: list[tuple[str, tuple[DeviceRequest, ...], dict[str, str], str]] = [
    (
        "by_nobody", (LEFT,), {},
        (f"no virtual function of network left: {NOWHERE}, and PCI_RESOURCE_OPENSHIFT_IO_FAST-VFS, {VARIABLE}, "
        "MDEV_PCI_RESOURCE_OPENSHIFT_IO_FAST-VFS are not set"),
    ),
    (
        "of_a_network_without_its_definition", (function(1, "left", ""),), {VARIABLE: "0000:41:00.1"},
        (f"no virtual function of network left: {NOWHERE}, and which resource's variable (PCIDEVICE_\u2026) has it is "
        "told by the network's NetworkAttachmentDefinition beside the machine, where there is none"),
    ),
    (
        "by_one_variable_for_two_networks", (LEFT, RIGHT), {VARIABLE: "0000:41:00.1,0000:41:00.2"},
        (f"no virtual function of network left: {NOWHERE}, and of resource {VFS}, which network right has, too, "
        "nothing else tells which is whose"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("requests", "environment", "message"), [row[1:] for row in UNTOLD], ids=[row[0] for row in UNTOLD]
)
def test_a_function_is_untold(requests: tuple[DeviceRequest, ...], environment: dict[str, str], message: str) -> None:
    with pytest.raises(FunctionUntold) as caught:
        assign_devices(requests, environment, tree_of(""))
    assert str(caught.value) == f"spec.domain.devices.interfaces[1]: {message}"
    assert not are_functions_told(requests, environment, tree_of(""))


def test_what_is_told_wrongly_is_told_and_no_longer_waited_for() -> None:
    twice = status(pod1="0000:41:00.2", pod2="0000:41:00.2")
    for tree, message in (
        (
            twice,
            "interfaces[2]: etc/podinfo/network-status tells 0000:41:00.2, which is spec.domain.devices.interfaces[1]",
        ),
        (status(pod1="41:00.2"), "'41:00.2' is not a PCI address, such as 0000:41:00.0"),
        (tree_of("{"), "not JSON"),
        (tree_of("{}"), "not a list; wanted the annotation k8s.v1.cni.cncf.io/network-status"),
    ):
        with pytest.raises(HostError) as caught:
            assign_devices((LEFT, RIGHT), {}, tree)
        assert message in str(caught.value)
        assert are_functions_told((LEFT, RIGHT), {}, tree)


def test_entries_of_other_shapes_are_passed_over() -> None:
    odd = tree_of(
        json.dumps([1, {"interface": "pod1"}, {"interface": "pod1", "device-info": {"type": "pci", "pci": []}}])
    )
    assert untold((LEFT,), {}, odd) == ("spec.domain.devices.interfaces[1]",)


def test_a_dry_run_knows_which_requests_nobody_tells() -> None:
    gpu = DeviceRequest(kind=DeviceKind.GPU, index=0, name="g", resource="nvidia.com/A10")
    told = status(pod1="0000:41:00.2")
    assert untold((gpu, LEFT, RIGHT), {}, told) == ("spec.domain.devices.gpus[0]", "spec.domain.devices.interfaces[2]")
    assert untold((gpu,), {"PCI_RESOURCE_NVIDIA_COM_A10": ""}, told) == ()
