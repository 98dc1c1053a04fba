"""The host's devices under watch, over a folder that stands for sysfs and /dev."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from launcher.supervise.device_watch import DeviceWatch, HeldDevice

CARD = HeldDevice(alias="ua-gpu-a10", address="0000:41:00.0")
MEDIATED = HeldDevice(alias="ua-gpu-v", address="6a1a24a1-4061-4607-8bf4-a3963d0c5895")
STICK = HeldDevice(alias="ua-hostdevice-key", address="1:3")
IN_SYSFS = Path("sys/bus/pci/devices/0000:41:00.0")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with one device of each kind."""
    make_card(tmp_path)
    (tmp_path / "sys/bus/mdev/devices" / MEDIATED.address).mkdir(parents=True)
    (tmp_path / "dev/bus/usb/001").mkdir(parents=True)
    (tmp_path / "dev/bus/usb/001/003").touch()
    return tmp_path


def make_card(root: Path) -> None:
    """Make the folder of the PCI device, which its driver drives."""
    card = root / IN_SYSFS
    card.mkdir(parents=True)
    bind(root, "vfio-pci")
    for kind in ("fatal", "nonfatal"):
        count(root, kind, 0)


def bind(root: Path, driver: str) -> None:
    link = root / IN_SYSFS / "driver"
    link.unlink(missing_ok=True)
    link.symlink_to(f"../../drivers/{driver}")


def count(root: Path, kind: str, total: int) -> None:
    (root / IN_SYSFS / f"aer_dev_{kind}").write_text(f"Undefined 0\nDLP {total}\nTOTAL_ERR_{kind.upper()} {total}\n")


def looked(watch: DeviceWatch) -> tuple[str, ...]:
    watch.look()
    return watch.faults


def test_devices_that_are_there_and_as_they_were_have_no_fault(root: Path) -> None:
    watch = DeviceWatch((CARD, MEDIATED, STICK), root=str(root))
    assert [looked(watch), looked(watch)] == [(), ()]


@pytest.mark.parametrize(
    ("device", "path"),
    [(CARD, IN_SYSFS), (MEDIATED, Path("sys/bus/mdev/devices")), (STICK, Path("dev/bus/usb/001"))],
    ids=["pci", "mdev", "usb"],
)
def test_a_device_that_is_gone_is_told_once(
    device: HeldDevice, path: Path, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = DeviceWatch((device,), root=str(root))
    shutil.rmtree(root / path)
    assert looked(watch) == looked(watch) == (f"{device.in_words} is gone from the host",)
    assert [record.message for record in caplog.records] == [f"device: {device.in_words} is gone from the host"]


def test_a_device_that_was_put_back_is_another_one(root: Path) -> None:
    watch = DeviceWatch((CARD,), root=str(root))
    # The new folder is made before the old one goes, so that it cannot have its inode.
    (root / IN_SYSFS).rename(root / "gone")
    make_card(root)
    assert looked(watch) == ("gpu-a10 (0000:41:00.0) went and came back; the guest holds the one that went",)


@pytest.mark.parametrize(("driver", "words"), [("nvidia", "bound to nvidia"), ("", "bound to no driver")])
def test_another_driver_or_none_is_told_and_so_is_its_end(
    driver: str, words: str, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = DeviceWatch((CARD,), root=str(root))
    if driver:
        bind(root, driver)
    else:
        (root / IN_SYSFS / "driver").unlink()
    assert looked(watch) == (f"gpu-a10 (0000:41:00.0) is {words}, not to vfio-pci",)
    bind(root, "vfio-pci")
    with caplog.at_level(logging.INFO):
        assert looked(watch) == ()
    assert caplog.records[-1].message == "device: all are there again"


def test_a_device_that_libvirt_took_out_of_the_guest_is_lost_though_the_host_has_it(root: Path) -> None:
    watch = DeviceWatch((CARD, STICK), root=str(root))
    assert watch.note_removed(STICK.alias)
    assert not watch.note_removed("ua-default")
    assert looked(watch) == ("hostdevice-key (1:3) was taken out of the guest",)


def test_errors_are_told_once_with_how_many_more_there_are(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    count(root, "nonfatal", 7)
    watch = DeviceWatch((CARD,), root=str(root))
    count(root, "nonfatal", 9)
    count(root, "fatal", 1)
    assert (looked(watch), looked(watch)) == ((), ())
    assert [record.message for record in caplog.records] == [
        "device: gpu-a10 (0000:41:00.0): 1 errors more (aer_dev_fatal); it may have been reset",
        "device: gpu-a10 (0000:41:00.0): 2 errors more (aer_dev_nonfatal); it may have been reset",
    ]


@pytest.mark.parametrize("text", ["", "TOTAL_ERR_FATAL many\n", "\udcff"])
def test_a_counter_that_does_not_parse_is_none(text: str, root: Path) -> None:
    watch = DeviceWatch((CARD,), root=str(root))
    (root / IN_SYSFS / "aer_dev_fatal").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert looked(watch) == ()
