"""Devices dealt out to requests: what variables and claims' files say, and each way in which that may be wrong."""

from __future__ import annotations

import json

import pytest

from launcher.errors import HostError
from launcher.host.assigned import AssignedDevice, Bus, device_nodes
from launcher.host.capture import CaptureTree, parse_capture
from launcher.host.devices import assign_devices, device_warnings, untold
from launcher.vmi.guest_devices import ClaimSource, DeviceKind, DeviceRequest
from tests.host.pci_machines import AUDIO, Device, row, text_of, tree_of

UUID = "6a1a24a1-4061-4607-8bf4-a3963d0c5895"
OTHER_UUID = "6a1a24a1-4061-4607-8bf4-a3963d0c5896"
A10 = "nvidia.com/GA102GL_A10"
A10_VARIABLE = "PCI_RESOURCE_NVIDIA_COM_GA102GL_A10"
MACHINE = tree_of(
    (
        *row("pci0000:40", 0, "0000:41:00.0", "0000:42:00.0"),
        *row("pci0000:c0", 1, "0000:c1:00.0", window_bytes=1 << 35),
        Device(address="0000:20:01.0", root="pci0000:20", node=1, driver="nvidia", mediated=(UUID, OTHER_UUID)),
    )
)


def gpu(index: int = 0, resource: str = A10, **particulars: object) -> DeviceRequest:
    """Return the request of a GPU."""
    return DeviceRequest(kind=DeviceKind.GPU, index=index, name=f"g{index}", resource=resource, **particulars)  # type: ignore[arg-type]  # a row's own words


def other(index: int = 0, resource: str = "intel.com/qat") -> DeviceRequest:
    """Return the request of any other device."""
    return DeviceRequest(kind=DeviceKind.HOST_DEVICE, index=index, name=f"h{index}", resource=resource)


def claimed(*, is_template: bool = False) -> DeviceRequest:
    """Return the request of a GPU by a claim."""
    claim = ClaimSource(claim="pod-claim", object_name="my-claim", is_template=is_template, request="gpu")
    return DeviceRequest(kind=DeviceKind.GPU, index=0, name="g0", claim=claim)


def _found(devices: tuple[AssignedDevice, ...]) -> list[tuple[str, str, int, str]]:
    return [(str(device.bus), device.address, device.node, device.root) for device in devices]


def test_devices_of_one_resource_are_dealt_out_in_order() -> None:
    devices = assign_devices((gpu(0), gpu(1)), {A10_VARIABLE: "0000:C1:00.0,0000:41:00.0,"}, MACHINE)
    assert _found(devices) == [("pci", "0000:c1:00.0", 1, "pci0000:c0"), ("pci", "0000:41:00.0", 0, "pci0000:40")]
    assert devices[0].wide_bytes == (1 << 35,)
    assert device_nodes(devices) == (0, 1)


def test_a_device_under_two_resources_is_given_once() -> None:
    environment = {A10_VARIABLE: "0000:41:00.0", "PCI_RESOURCE_INTEL_COM_QAT": "0000:41:00.0,0000:42:00.0"}
    devices = assign_devices((gpu(), other()), environment, MACHINE)
    assert [device.address for device in devices] == ["0000:41:00.0", "0000:42:00.0"]


@pytest.mark.parametrize(
    ("request_", "variable", "address", "expected"),
    [
        (gpu(resource="a.b/c-d.e"), "PCI_RESOURCE_A_B_C-D_E", "0000:41:00.0", Bus.PCI),
        (gpu(resource="a.b/c-d.e"), "PCIDEVICE_A_B_C_D_E", "0000:41:00.0", Bus.PCI),
        (gpu(resource="a.b/c"), "MDEV_PCI_RESOURCE_A_B_C", UUID, Bus.MEDIATED),
        (other(resource="a.b/c"), "USB_RESOURCE_A_B_C", "1:3", Bus.USB),
    ],
    ids=["kubevirts_variable_keeps_hyphens", "the_sriov_plugins_does_not", "a_mediated_device", "a_usb_device"],
)
def test_a_resource_is_told_in_a_variable(request_: DeviceRequest, variable: str, address: str, expected: Bus) -> None:
    (device,) = assign_devices((request_,), {variable: address}, MACHINE)
    assert (device.bus, device.address, device.source) == (expected, address, variable)


NOT_GIVEN: list[tuple[str, tuple[DeviceRequest, ...], dict[str, str], str]] = [
    (
        "no_variable",
        (gpu(),),
        {},
        (
            f"spec.domain.devices.gpus[0]: no device of {A10}: its device plugin tells it in {A10_VARIABLE} (or "
            "PCIDEVICE_NVIDIA_COM_GA102GL_A10, MDEV_PCI_RESOURCE_NVIDIA_COM_GA102GL_A10), and none is set; in a dry "
            f"run set it, as {A10_VARIABLE}=0000:41:00.0"
        ),
    ),
    (
        "an_empty_variable",
        (gpu(),),
        {A10_VARIABLE: ""},
        (
            f"spec.domain.devices.gpus[0]: no device of {A10} is left: {A10_VARIABLE} tells 0, which other devices of "
            "this guest have"
        ),
    ),
    (
        "fewer_than_asked_for",
        (gpu(0), gpu(1)),
        {A10_VARIABLE: "0000:41:00.0"},
        (
            f"spec.domain.devices.gpus[1]: no device of {A10} is left: {A10_VARIABLE} tells 1, which other devices of "
            "this guest have"
        ),
    ),
    (
        "a_word_that_is_no_address",
        (gpu(),),
        {A10_VARIABLE: "41:00.0"},
        f"{A10_VARIABLE}: '41:00.0' is not a PCI address, such as 0000:41:00.0",
    ),
    (
        "an_address_with_markup",
        (gpu(),),
        {A10_VARIABLE: "0000:41:00.0'/><x"},
        f'{A10_VARIABLE}: "0000:41:00.0\'/><x" is not a PCI address, such as 0000:41:00.0',
    ),
    (
        "the_same_address_twice",
        (gpu(),),
        {A10_VARIABLE: "0000:41:00.0,0000:41:00.0"},
        f"{A10_VARIABLE}: 0000:41:00.0 stands there twice; wanted each device once",
    ),
    (
        "a_device_that_is_not_there",
        (gpu(),),
        {A10_VARIABLE: "0000:99:00.0"},
        (
            f"spec.domain.devices.gpus[0]: {A10_VARIABLE} tells the PCI device 0000:99:00.0, which is not on this host "
            "(pci.host: /sys/devices)"
        ),
    ),
    (
        "a_bridge",
        (gpu(),),
        {A10_VARIABLE: "0000:40:01.0"},
        f"spec.domain.devices.gpus[0]: {A10_VARIABLE} tells 0000:40:01.0, a bridge, which no guest gets",
    ),
    (
        "a_mediated_device_that_is_not_there",
        (gpu(),),
        {"MDEV_PCI_RESOURCE_NVIDIA_COM_GA102GL_A10": UUID[:-1] + "0"},
        (
            "spec.domain.devices.gpus[0]: MDEV_PCI_RESOURCE_NVIDIA_COM_GA102GL_A10 tells the mediated device "
            f"{UUID[:-1]}0, which is not on this host (pci.host: /sys/devices)"
        ),
    ),
    (
        "half_a_uuid",
        (gpu(),),
        {"MDEV_PCI_RESOURCE_NVIDIA_COM_GA102GL_A10": "6a1a24a1"},
        "MDEV_PCI_RESOURCE_NVIDIA_COM_GA102GL_A10: '6a1a24a1' is not a mediated device's UUID",
    ),
]


@pytest.mark.parametrize(
    ("requests", "environment", "message"), [one[1:] for one in NOT_GIVEN], ids=[one[0] for one in NOT_GIVEN]
)
def test_what_is_absent_malformed_or_given_twice_is_named(
    requests: tuple[DeviceRequest, ...], environment: dict[str, str], message: str
) -> None:
    with pytest.raises(HostError) as refusal:
        assign_devices(requests, environment, MACHINE)
    assert str(refusal.value) == message


def test_a_synthetic_host_has_no_devices_to_look_for() -> None:
    (device,) = assign_devices((gpu(),), {A10_VARIABLE: "0000:41:00.0"}, None)
    assert (device.node, device.root) == (-1, "")


@pytest.mark.parametrize(
    ("screens", "expected"),
    [
        ((None, None), [(True, True), (False, False)]),
        ((False, None), [(False, False), (False, False)]),
        ((None, True), [(False, False), (True, True)]),
    ],
    ids=["the_first_by_default", "none_where_one_declines", "the_one_that_asks"],
)
def test_a_virtual_gpu_is_a_screen_as_kubevirt_has_it(
    screens: tuple[bool | None, ...], expected: list[tuple[bool, bool]]
) -> None:
    requests = tuple(gpu(index, is_screen=screen) for index, screen in enumerate(screens))
    environment = {"MDEV_PCI_RESOURCE_NVIDIA_COM_GA102GL_A10": f"{UUID},{OTHER_UUID}"}
    devices = assign_devices(requests, environment, MACHINE)
    assert [(device.is_screen, device.has_boot_screen) for device in devices] == expected


def test_the_screen_of_a_whole_device_is_a_warning() -> None:
    devices = assign_devices((gpu(is_screen=True),), {A10_VARIABLE: "0000:41:00.0"}, MACHINE)
    assert [device.is_screen for device in devices] == [False]
    assert device_warnings(devices) == (
        (
            "spec.domain.devices.gpus[0].virtualGPUOptions.display: without effect: 0000:41:00.0 is a whole PCI "
            "device, and libvirt shows the screen of a mediated one alone"
        ),
    )


FOLDER = "var/run/kubernetes.io/dra-device-attributes"


def _metadata(*devices: dict[str, object], version: str = "metadata.resource.k8s.io/v1alpha1") -> str:
    return json.dumps({"apiVersion": version, "requests": [{"name": "gpu", "devices": list(devices)}]})


def _device(**attributes: str) -> dict[str, object]:
    names = {"pci": "resource.kubernetes.io/pciBusID", "mdev": "mdevUUID"}
    return {"name": "d", "attributes": {names[name]: {"string": text} for name, text in attributes.items()}}


def _with_claim(text: str, folder: str = f"{FOLDER}/resourceclaims/my-claim/gpu") -> CaptureTree:
    machine = text_of((*row("pci0000:40", 0, "0000:41:00.0"),)) + f"{folder}/gpu.example.com-metadata.json: {text}\n"
    return parse_capture(machine, "pci.host")


@pytest.mark.parametrize(
    ("request_", "folder"),
    [
        (claimed(), f"{FOLDER}/resourceclaims/my-claim/gpu"),
        (claimed(is_template=True), f"{FOLDER}/resourceclaimtemplates/pod-claim/gpu"),
        (claimed(), "var/run/dra-device-attributes/my-claim/gpu"),
    ],
    ids=["a_claim", "a_claim_of_a_template", "the_older_layout"],
)
def test_a_claims_device_is_told_by_its_drivers_file(request_: DeviceRequest, folder: str) -> None:
    newer = _metadata(_device(pci="0000:99:00.0"), version="metadata.resource.k8s.io/v9")
    tree = _with_claim(newer + _metadata(_device(pci="0000:41:00.0")), folder)
    assert _found(assign_devices((request_,), {}, tree)) == [("pci", "0000:41:00.0", 0, "pci0000:40")]


CLAIMS_AT_FAULT = [
    ("torn", '{"apiVersion": "metadata.res', "not JSON"),
    ("a_list", "[]", "not a JSON object"),
    ("of_a_newer_form_only", _metadata(_device(pci="0000:41:00.0"), version="v9"), "holds 'v9'; wanted metadata."),
    ("two_devices", _metadata(_device(pci="0000:41:00.0"), _device(pci="0000:42:00.0")), "2 devices of request gpu"),
    ("no_device", _metadata(), "0 devices of request gpu"),
    ("a_device_of_another_kind", _metadata({"name": "d", "attributes": {}}), "has neither resource.kubernetes.io/pci"),
    ("an_address_that_is_none", _metadata(_device(pci="41:0")), "'41:0' is not a PCI address"),
    ("a_deep_one", "[" * 100_000, "not JSON"),
]


@pytest.mark.parametrize(
    ("text", "message"), [one[1:] for one in CLAIMS_AT_FAULT], ids=[one[0] for one in CLAIMS_AT_FAULT]
)
def test_a_claims_file_that_cannot_be_used_is_named(text: str, message: str) -> None:
    with pytest.raises(HostError, match=r"gpu\.example\.com-metadata\.json") as refusal:
        assign_devices((claimed(),), {}, _with_claim(text))
    assert message in str(refusal.value)


def test_a_dry_run_knows_which_claims_nobody_tells() -> None:
    told = _with_claim(_metadata(_device(pci="0000:41:00.0")))
    assert untold((claimed(),), {}, told) == ()
    assert untold((claimed(),), {}, MACHINE) == untold((claimed(),), {}, None) == ("spec.domain.devices.gpus[0]",)


def test_a_claim_without_a_file_is_told_where_that_would_be() -> None:
    with pytest.raises(HostError, match=f"request gpu of claim pod-claim: .*{FOLDER}/resourceclaims/my-claim/gpu"):
        assign_devices((claimed(),), {}, MACHINE)


def test_a_capture_of_devices_tells_as_much_as_the_machine() -> None:
    from launcher.cpuset import CPUSet  # noqa: PLC0415 - for this one
    from launcher.host.capture import capture  # noqa: PLC0415 - likewise
    from launcher.host.pci import driver_of, iommu_group, pci_devices  # noqa: PLC0415 - likewise

    machine = tree_of((*row("pci0000:40", 0, "0000:41:00.0", device_class=AUDIO, window_bytes=1 << 30),))
    again = parse_capture(capture(machine, CPUSet.parse("0"), "x86_64"), "again")
    assert tuple(pci_devices(again)) == tuple(pci_devices(machine))
    assert driver_of(again, "0000:41:00.0") == "vfio-pci"
    assert iommu_group(again, "0000:41:00.0") == (0, ("0000:41:00.0",))


def test_the_nodes_of_devices_are_found_by_their_addresses() -> None:
    from launcher.host.pci import nodes_of  # noqa: PLC0415 - for this one

    uuid = "c2177883-f1bb-47f0-914d-32a22e3a8804"
    machine = tree_of(
        (
            *row("pci0000:40", 0, "0000:41:00.0"),
            Device(address="0000:81:00.0", root="pci0000:80", node=3, mediated=(uuid,)),
            Device(address="0000:c1:00.0", root="pci0000:c0"),
        )
    )
    assert nodes_of(machine, {"0000:41:00.0", uuid}) == (0, 3)
    # On no node, a USB device, and one that is gone.
    assert nodes_of(machine, {"0000:c1:00.0", "1:4", "0000:e1:00.0"}) == ()
