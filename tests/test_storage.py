"""The guest's files: found, refused or made, each fault with its field."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.errors import InvalidVMI
from launcher.storage import absolute_paths, find_files
from launcher.vmi.guest import Disk, Guest, GuestCPU, GuestMemory, ImageFormat, KernelBoot, Topology

GUEST = Guest(name="g", cpu=GuestCPU(topology=Topology()), memory=GuestMemory(guest_bytes=1 << 28))


def _qcow2(*, backing: int = 0, version: int = 3, features: int = 0) -> bytes:
    return struct.pack(">4sIQI", b"QFI\xfb", version, backing, 0).ljust(72, b"\0") + struct.pack(">Q", features)


def _with_disk(path: Path, **changes: object) -> Guest:
    return replace(GUEST, disks=(replace(Disk(name="d", path=str(path)), **changes),))  # type: ignore[arg-type]  # names vary


def test_the_format_is_what_the_name_says_and_never_what_the_guest_may_have_written(tmp_path: Path) -> None:
    raw, qcow2 = tmp_path / "raw.img", tmp_path / "disk.qcow2"
    raw.write_bytes(_qcow2(backing=1))
    qcow2.write_bytes(_qcow2())
    guest = replace(GUEST, disks=(Disk(name="a", path=str(raw)), Disk(name="b", path=str(qcow2))))
    assert find_files(guest) == (("a", ImageFormat.RAW), ("b", ImageFormat.QCOW2))


def test_a_disk_to_be_made_is_a_sparse_file_of_its_size(tmp_path: Path) -> None:
    path = tmp_path / "new.img"
    find_files(_with_disk(path, create_bytes=1 << 30))
    assert (path.stat().st_size, path.stat().st_blocks, path.stat().st_mode & 0o777) == (1 << 30, 0, 0o600)


def test_a_disk_that_is_there_already_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "old.img"
    path.write_bytes(b"kept")
    find_files(_with_disk(path, create_bytes=1 << 30))
    assert path.read_bytes() == b"kept"


def _missing(folder: Path) -> Guest:
    return _with_disk(folder / "none.img")


def _folder(folder: Path) -> Guest:
    return _with_disk(folder)


def _nul(folder: Path) -> Guest:
    return _with_disk(folder / "a\0b")


def _no_qcow2(folder: Path) -> Guest:
    (folder / "x.qcow2").write_bytes(b"raw bytes")
    return _with_disk(folder / "x.qcow2")


def _backed(folder: Path) -> Guest:
    (folder / "x.qcow2").write_bytes(_qcow2(backing=512))
    return _with_disk(folder / "x.qcow2")


def _external_data(folder: Path) -> Guest:
    (folder / "x.qcow2").write_bytes(_qcow2(features=4))
    return _with_disk(folder / "x.qcow2")


def _made_in_no_folder(folder: Path) -> Guest:
    return _with_disk(folder / "no" / "x.img", create_bytes=1)


def _made_as_qcow2(folder: Path) -> Guest:
    return _with_disk(folder / "x.qcow2", create_bytes=1)


def _made_over_a_dangling_link(folder: Path) -> Guest:
    (folder / "link").symlink_to(folder / "nowhere")
    return _with_disk(folder / "link", create_bytes=1)


def _no_kernel(folder: Path) -> Guest:
    return replace(GUEST, kernel_boot=KernelBoot(kernel=str(folder / "vmlinuz"), initrd=str(folder / "initrd")))


DISK = r"spec\.volumes\[d\]\.hostDisk\.path: "
BOOT = r"spec\.domain\.firmware\.kernelBoot\.container\."


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (_missing, DISK + r".*none\.img': No such file or directory$"),
        (_folder, DISK + r".* is neither a file nor a block device$"),
        (_nul, DISK + r".*embedded null byte$"),
        (_no_qcow2, DISK + r".* is named \.qcow2 but is no qcow2 image$"),
        (_backed, DISK + r".* has a backing file, which would be opened unchecked; flatten it with qemu-img$"),
        (_external_data, DISK + r".* keeps its data in another file, which would be opened unchecked; flatten it$"),
        (_made_in_no_folder, DISK + r".* cannot be made: '.*/no' is no folder$"),
        (_made_as_qcow2, DISK + r".* only raw images are made here; make it with qemu-img$"),
        (_made_over_a_dangling_link, DISK + r".*link': No such file or directory$"),
        (
            _no_kernel,
            BOOT + r"kernelPath: .*vmlinuz': No such file.*\n.*" + BOOT + r"initrdPath: .*initrd': No such file",
        ),
    ],
    ids=lambda value: value.__name__.strip("_").replace("_", " ") if callable(value) else "",
)
def test_a_file_that_cannot_be_used_is_a_fault_of_its_field(
    tmp_path: Path, make: Callable[[Path], Guest], wanted: str
) -> None:
    with pytest.raises(InvalidVMI, match=wanted):
        find_files(make(tmp_path))


def test_relative_names_are_taken_from_the_folder_and_absolute_ones_left() -> None:
    guest = replace(
        GUEST,
        kernel_boot=KernelBoot(kernel="boot/vmlinuz", initrd="/abs/initrd"),
        disks=(Disk(name="a", path="a.img"), Disk(name="b", path="/b.img")),
    )
    found = absolute_paths(guest, "/here")
    assert found.kernel_boot == KernelBoot(kernel="/here/boot/vmlinuz", initrd="/abs/initrd")
    assert [disk.path for disk in found.disks] == ["/here/a.img", "/b.img"]
