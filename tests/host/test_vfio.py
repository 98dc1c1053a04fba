"""What keeps QEMU from a device of the host: each missing thing is one line with its cure."""

from __future__ import annotations

import pytest

from launcher.host.assigned import AssignedDevice, Bus
from launcher.host.vfio import hindrances
from launcher.vmi.guest_devices import DeviceKind, DeviceRequest
from tests.host.pci_machines import AUDIO, PORT, Device, tree_of

GIB = 1 << 30
ROOT = "pci0000:40"
WHERE = "spec.domain.devices.gpus[0]: 0000:41:00.0"


def _device(bus: Bus = Bus.PCI, address: str = "0000:41:00.0") -> AssignedDevice:
    request = DeviceRequest(kind=DeviceKind.GPU, index=0, name="g0", resource="a.b/c")
    return AssignedDevice(request=request, bus=bus, address=address, source="PCI_RESOURCE_A_B_C", root=ROOT)


def _pci(address: str = "0000:41:00.0", **particulars: object) -> Device:
    return Device(address=address, root=ROOT, group=12, **particulars)  # type: ignore[arg-type]  # a row's own words


GPU = _pci()
VALID = ("/dev/vfio/vfio", "/dev/vfio/12")
ROWS: list[tuple[str, tuple[Device, ...], tuple[str, ...], int | None, tuple[str, ...]]] = [
    ("all_is_well", (GPU,), VALID, None, ()),
    ("just_enough_memory_may_be_locked", (GPU,), VALID, 3 * GIB, ()),
    ("its_audio_function_is_vfios_too", (GPU, _pci("0000:41:00.1", device_class=AUDIO)), VALID, None, ()),
    ("nobody_drives_its_neighbour", (GPU, _pci("0000:41:00.1", driver=None)), VALID, None, ()),
    ("a_bridge_in_its_group", (GPU, _pci("0000:40:01.0", device_class=PORT, driver="pcieport")), VALID, None, ()),
    (
        "another_driver",
        (_pci(driver="nvidia"),),
        VALID,
        None,
        (f"{WHERE} is bound to nvidia; wanted vfio-pci, to which the node has to bind it (driverctl set-override)",),
    ),
    (
        "no_driver",
        (_pci(driver=None),),
        VALID,
        None,
        (f"{WHERE} is bound to no driver; wanted vfio-pci, to which the node has to bind it (driverctl set-override)",),
    ),
    (
        "no_iommu",
        (Device(address="0000:41:00.0", root=ROOT, group=-1),),
        VALID,
        None,
        (f"{WHERE} is in no IOMMU group; switch the IOMMU on, in the firmware and in the kernel (intel_iommu=on)",),
    ),
    (
        "a_stranger_in_its_group",
        (GPU, _pci("0000:41:00.1", driver="snd_hda_intel", device_class=AUDIO)),
        VALID,
        None,
        (
            (
                f"{WHERE} shares IOMMU group 12 with 0000:41:00.1, bound to snd_hda_intel; bind that to vfio-pci, "
                "too, or use a slot whose group is its own"
            ),
        ),
    ),
    (
        "a_closed_group",
        (GPU,),
        ("/dev/vfio/vfio",),
        None,
        (
            (
                f"{WHERE}: /dev/vfio/12 is not there, or not readable and writable for this user; give the "
                "container the device"
            ),
        ),
    ),
    (
        "no_vfio_at_all",
        (GPU,),
        ("/dev/vfio/12",),
        None,
        (
            (
                "/dev/vfio/vfio is not there, or not readable and writable for this user; load the module vfio-pci "
                "on the node, and give the container the device"
            ),
        ),
    ),
    (
        "too_little_memory_may_be_locked",
        (GPU,),
        VALID,
        8 << 20,
        (
            (
                "RLIMIT_MEMLOCK: QEMU may lock 8 MiB, and devices of the host lock the guest's memory, 3072 MiB; raise "
                "it to that or to unlimited (podman's --ulimit memlock=-1, the container runtime's default, "
                "LimitMEMLOCK of its service)"
            ),
        ),
    ),
]


@pytest.mark.parametrize(
    ("machine", "openable", "locked", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_each_hindrance_is_a_line_with_its_cure(
    machine: tuple[Device, ...], openable: tuple[str, ...], locked: int | None, expected: tuple[str, ...]
) -> None:
    found = hindrances(
        (_device(),),
        tree_of(machine),
        may_open=openable.__contains__,
        most_locked_bytes=locked,
        guest_bytes=2 * GIB,
    )
    assert found == expected


def test_a_mediated_device_needs_its_own_group_and_no_driver_of_its_parent() -> None:
    uuid = "6a1a24a1-4061-4607-8bf4-a3963d0c5895"
    tree = tree_of((_pci(driver="nvidia"), Device(address="0000:42:00.0", root=ROOT, group=13, mediated=(uuid,))))
    device = _device(Bus.MEDIATED, uuid)
    openable = ("/dev/vfio/vfio", "/dev/vfio/13")
    assert hindrances((device,), tree, may_open=openable.__contains__, most_locked_bytes=None, guest_bytes=GIB) == ()


def test_a_usb_device_needs_its_file_alone() -> None:
    device = _device(Bus.USB, "1:3")
    found = hindrances((device,), tree_of((GPU,)), may_open=lambda _: False, most_locked_bytes=0, guest_bytes=GIB)
    assert found == (
        (
            "spec.domain.devices.gpus[0]: 1:3: /dev/bus/usb/001/003 is not there, or not readable and writable for "
            "this user; give the container the device"
        ),
    )
