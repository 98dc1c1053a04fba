"""A guest's storage before its start: found, refused or made, each fault with its field."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from launcher.errors import Fault, HypervisorError, InvalidVMI
from launcher.storage.files import Unusable, check_file
from launcher.storage.model import BackingImage, DiskImage
from launcher.storage.prepare import prepare_storage, remove_storage
from launcher.vmi.guest import Disk, DiskBus, DiskDevice, Guest, ImageFormat, KernelBoot
from launcher.vmi.guest_storage import (
    BlockSize,
    CacheMode,
    Claim,
    CloudInit,
    CloudInitKind,
    ContainerDisk,
    EmptyDisk,
    Ephemeral,
    FolderKind,
    IOMode,
    MountedFolder,
)
from tests.storage.guests import GUEST, guest_with, mounts_of, qcow2_header, write

MIB = 1 << 20
QCOW2, RAW = ImageFormat.QCOW2, ImageFormat.RAW


def _prepared(guest: Guest, folder: Path) -> tuple[DiskImage, ...]:
    return prepare_storage(guest, mounts_of(folder), folder / "root")


def _faults(guest: Guest, folder: Path) -> list[Fault]:
    with pytest.raises(InvalidVMI) as refusal:
        _prepared(guest, folder)
    return list(refusal.value.faults)


def _info(path: str) -> dict[str, object]:
    text = subprocess.run(["qemu-img", "info", "--output=json", path], check=True, capture_output=True).stdout
    info: dict[str, object] = json.loads(text)
    return info


def _real_qcow2(path: Path, size: int = MIB) -> None:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), str(size)], check=True)


def _host(path: Path, **changes: object) -> Guest:
    return guest_with(replace(Disk(name="d", path=str(path)), **changes))


def test_the_format_is_what_the_name_says_and_never_what_the_guest_may_have_written(tmp_path: Path) -> None:
    raw, qcow2 = tmp_path / "raw.img", tmp_path / "disk.qcow2"
    raw.write_bytes(qcow2_header(backing=1))
    qcow2.write_bytes(qcow2_header())
    images = _prepared(guest_with(Disk(name="a", path=str(raw)), Disk(name="b", path=str(qcow2))), tmp_path)
    assert [(image.disk, image.path, image.format) for image in images] == [
        ("a", str(raw), RAW),
        ("b", str(qcow2), QCOW2),
    ]


def test_a_claims_image_is_raw_whatever_the_guest_wrote_to_it(tmp_path: Path) -> None:
    path = write(tmp_path, "vmi-disks/root/disk.img", qcow2_header(backing=1))
    (image,) = _prepared(guest_with(Disk(name="root", volume=Claim(claim="data"))), tmp_path)
    assert (image.path, image.format, image.is_block, image.backing) == (str(path), RAW, False, None)


def test_a_disk_to_be_made_is_a_sparse_file_of_its_size(tmp_path: Path) -> None:
    path = tmp_path / "new.img"
    _prepared(_host(path, create_bytes=1 << 30), tmp_path)
    assert (path.stat().st_size, path.stat().st_blocks, path.stat().st_mode & 0o777) == (1 << 30, 0, 0o600)


def test_a_disk_that_is_there_already_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "old.img"
    path.write_bytes(b"kept")
    _prepared(_host(path, create_bytes=1 << 30), tmp_path)
    assert path.read_bytes() == b"kept"


def test_a_layer_over_a_claim_names_it_and_its_format(tmp_path: Path) -> None:
    below = write(tmp_path, "vmi-disks/root/disk.img", qcow2_header(backing=1).ljust(MIB, b"\0"))
    before = below.read_bytes()
    (image,) = _prepared(guest_with(Disk(name="root", volume=Ephemeral(claim="data"))), tmp_path)
    assert (image.format, image.backing) == (QCOW2, BackingImage(path=str(below), format=RAW))
    info = _info(image.path)
    assert (info["virtual-size"], info["backing-filename"], info["backing-filename-format"]) == (MIB, str(below), "raw")
    assert below.read_bytes() == before


@pytest.mark.parametrize("image_format", [RAW, QCOW2])
def test_a_container_disk_gets_a_layer_of_the_format_that_it_has(tmp_path: Path, image_format: ImageFormat) -> None:
    below = write(tmp_path, "container-disks/disk_3.img", bytes(MIB))
    if image_format is QCOW2:
        _real_qcow2(below)
    below.chmod(0o400)
    (image,) = _prepared(guest_with(Disk(name="root", volume=ContainerDisk(image="fedora", index=3))), tmp_path)
    assert image.backing == BackingImage(path=str(below), format=image_format)
    info = _info(image.path)
    assert (info["virtual-size"], info["backing-filename-format"]) == (MIB, str(image_format))


@pytest.mark.parametrize(("path", "place"), [(None, "disk/only.img"), ("/images/x.img", "images/x.img")])
def test_a_container_disk_is_found_in_a_mounted_image(tmp_path: Path, path: str | None, place: str) -> None:
    below = write(tmp_path, f"image-volumes/disk_0/{place}", bytes(512))
    source = ContainerDisk(image="fedora", index=0, path=path)
    (image,) = _prepared(guest_with(Disk(name="root", volume=source)), tmp_path)
    assert image.backing == BackingImage(path=str(below), format=RAW)


def test_an_empty_disk_has_its_size_and_no_blocks(tmp_path: Path) -> None:
    (image,) = _prepared(guest_with(Disk(name="scratch", volume=EmptyDisk(capacity_bytes=1 << 40))), tmp_path)
    assert image.path == str(tmp_path / "root/storage/default_g/scratch.qcow2")
    assert (_info(image.path)["virtual-size"], _info(image.path).get("backing-filename")) == (1 << 40, None)
    assert Path(image.path).stat().st_size < 10 * MIB


def test_what_is_made_ends_with_its_guest_and_only_with_it(tmp_path: Path) -> None:
    other = replace(GUEST, name="other", disks=(Disk(name="scratch", volume=EmptyDisk(capacity_bytes=MIB)),))
    (kept,) = _prepared(other, tmp_path)
    guest = guest_with(Disk(name="scratch", volume=EmptyDisk(capacity_bytes=MIB)))
    (image,) = _prepared(guest, tmp_path)
    left = Path(image.path).with_name("left.iso")
    left.write_text("of the guest before")
    Path(image.path).write_text("written by the guest before")
    (image,) = _prepared(guest, tmp_path)
    assert (_info(image.path)["format"], left.exists(), Path(kept.path).exists()) == ("qcow2", False, True)
    remove_storage(guest, tmp_path / "root")
    assert (Path(image.path).exists(), Path(kept.path).exists()) == (False, True)
    remove_storage(guest, tmp_path / "root")


def test_what_is_made_is_for_this_user_alone(tmp_path: Path) -> None:
    source = CloudInit(kind=CloudInitKind.NO_CLOUD, user_data=b"password: x")
    (image,) = _prepared(guest_with(Disk(name="cloudinit", volume=source)), tmp_path)
    made = Path(image.path)
    assert (made.stat().st_mode & 0o777, made.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_without_a_cache_mode_it_is_what_the_file_system_can_do(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(MIB))
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
        expected = CacheMode.NONE
    except OSError:
        expected = CacheMode.WRITETHROUGH
    (image,) = _prepared(_host(path), tmp_path)
    assert image.cache is expected


def test_io_is_native_where_nothing_has_to_be_allocated_and_nothing_is_cached(tmp_path: Path) -> None:
    full, sparse = tmp_path / "full.img", tmp_path / "sparse.img"
    full.write_bytes(b"\1" * MIB)
    sparse.touch()
    os.truncate(sparse, MIB)
    disks = (
        Disk(name="a", path=str(full)),
        Disk(name="b", path=str(full), cache=CacheMode.WRITEBACK),
        Disk(name="c", path=str(full), io=IOMode.THREADS),
        Disk(name="d", path=str(sparse)),
    )
    images = _prepared(guest_with(*disks), tmp_path)
    native = IOMode.NATIVE if images[0].cache is CacheMode.NONE else None
    assert [image.io for image in images] == [native, None, IOMode.THREADS, None]


def test_a_block_size_is_given_or_the_file_systems(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(MIB))
    own = os.statvfs(path).f_bsize
    given = BlockSize(logical=512, physical=1024)
    disks = (
        Disk(name="a", path=str(path), matches_volume=True),
        Disk(name="b", path=str(path), block_size=given),
        Disk(name="c", path=str(path)),
    )
    images = _prepared(guest_with(*disks), tmp_path)
    assert [image.block_size for image in images] == [BlockSize(logical=own, physical=own), given, None]


# A file system without direct I/O, on every Linux: open(2) of a file below /proc with O_DIRECT is EINVAL.
NOT_DIRECT = Disk(name="d", path="/proc/version", readonly=True)


def test_what_cannot_be_read_directly_is_written_through_the_cache(tmp_path: Path) -> None:
    disks = (NOT_DIRECT, replace(NOT_DIRECT, name="b", cache=CacheMode.WRITEBACK))
    images = _prepared(guest_with(*disks), tmp_path)
    assert [(image.cache, image.io) for image in images] == [
        (CacheMode.WRITETHROUGH, None),
        (CacheMode.WRITEBACK, None),
    ]


@pytest.mark.parametrize(
    ("disk", "setting", "word"),
    [
        (replace(NOT_DIRECT, cache=CacheMode.NONE), "cache", "none"),
        (replace(NOT_DIRECT, io=IOMode.NATIVE), "io", "native"),
    ],
    ids=["no cache", "native I/O"],
)
def test_a_wish_for_direct_io_is_refused_where_there_is_none(
    tmp_path: Path, disk: Disk, setting: str, word: str
) -> None:
    message = f"{word} needs direct I/O, which the file system of '/proc/version' lacks"
    assert _faults(guest_with(disk), tmp_path) == [Fault(f"spec.domain.devices.disks[d].{setting}", message)]


# tmpfs has direct I/O since Linux 6.6, in no blocks that it tells: QEMU takes 4096 bytes for it.
TMPFS, ON_A_DISK = "/dev/shm", "/var/tmp"  # noqa: S108 - the file system is what is meant


def _has_direct_io(folder: str) -> bool:
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        try:
            os.close(os.open(file.name, os.O_RDONLY | os.O_DIRECT))
        except OSError:
            return False
    return True


def _qemu_starts(path: Path, cache: CacheMode) -> bool:
    drive = f"if=none,id=d,format=raw,file={path},cache={cache.value}"
    command = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-S", "-monitor", "stdio"]
    command += ["-drive", drive, "-device", "virtio-blk-pci,drive=d"]
    return subprocess.run(command, input=b"quit\n", capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("size", [0, 1, 1024, 4096, 3 * 4096 + 100, MIB - 100, MIB + 512, MIB])
@pytest.mark.parametrize("folder", [TMPFS, ON_A_DISK])
def test_an_image_is_opened_past_the_cache_where_qemu_can_write_it_so_to_its_end(folder: str, size: int) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "disk.img"
        path.write_bytes(bytes(size))
        (image,) = _prepared(guest_with(Disk(name="d", path=str(path))), Path(place))
        possible = _has_direct_io(folder) and _qemu_starts(path, CacheMode.NONE)
        assert image.cache is (CacheMode.NONE if possible else CacheMode.WRITETHROUGH)
        assert _qemu_starts(path, image.cache)


def test_what_is_only_read_or_grows_by_itself_needs_no_whole_blocks() -> None:
    with tempfile.TemporaryDirectory(dir=TMPFS) as place:
        raw, qcow2 = Path(place) / "raw.img", Path(place) / "disk.qcow2"
        raw.write_bytes(bytes(512))
        _real_qcow2(qcow2)
        with qcow2.open("ab") as file:
            file.write(bytes(1))
        disks = (Disk(name="r", path=str(raw), readonly=True), Disk(name="q", path=str(qcow2)))
        images = _prepared(guest_with(*disks), Path(place))
        wanted = CacheMode.NONE if _has_direct_io(TMPFS) else CacheMode.WRITETHROUGH
        assert [image.cache for image in images] == [wanted, wanted]


@pytest.mark.parametrize(
    ("changes", "setting"),
    [({"cache": CacheMode.NONE}, "cache"), ({"io": IOMode.NATIVE}, "io")],
    ids=["no cache", "native I/O"],
)
def test_a_wish_for_direct_io_is_refused_where_the_images_size_forbids_it(
    changes: dict[str, object], setting: str
) -> None:
    with tempfile.TemporaryDirectory(dir=TMPFS) as place:
        path = Path(place) / "disk.img"
        path.write_bytes(bytes(512))
        why = (
            f"for which the size of '{path}' must be a multiple of 4096 bytes on its file system"
            if _has_direct_io(TMPFS)
            else f"which the file system of '{path}' lacks"
        )
        word = "none" if setting == "cache" else "native"
        disk = replace(Disk(name="d", path=str(path)), **changes)
        fault = Fault(f"spec.domain.devices.disks[d].{setting}", f"{word} needs direct I/O, {why}")
        assert _faults(guest_with(disk), Path(place)) == [fault]


def test_a_file_systems_blocks_that_no_disk_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(MIB))
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_bsize=1 << 22))
    message = f"'{path}' has blocks of 4194304 bytes, which no disk of QEMU's has; use custom"
    disk = Disk(name="d", path=str(path), matches_volume=True)
    field = "spec.domain.devices.disks[d].blockSize.matchVolume"
    assert _faults(guest_with(disk), tmp_path) == [Fault(field, message)]


def test_a_volumes_blocks_that_no_sata_disk_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(MIB))
    disk = Disk(name="d", path=str(path), matches_volume=True, bus=DiskBus.SATA)
    field = "spec.domain.devices.disks[d].blockSize.matchVolume"
    message = f"'{path}' has blocks of 4096 bytes, and a sata disk always 512; wanted virtio or scsi"
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_bsize=4096))
    assert _faults(guest_with(disk), tmp_path) == [Fault(field, message)]
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_bsize=512))
    assert _prepared(guest_with(disk), tmp_path)[0].block_size == BlockSize(logical=512, physical=512)


def test_what_another_user_owns_is_only_read() -> None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "disk.img"
        path.write_bytes(bytes(512))
        path.chmod(0o444)
        Path(place).chmod(0o755)
        told = _told_to_nobody(lambda: check_file(str(path), writable=True))
        assert told == f"'{path}': not writable for this user; make it so, or the disk readonly"
        assert _told_to_nobody(lambda: check_file(str(path), writable=False)) == "nothing"
        path.chmod(0o200)
        assert _told_to_nobody(lambda: check_file(str(path), writable=False)) == f"'{path}': not readable for this user"


def _told_to_nobody(check: Callable[[], object]) -> str:
    """Return what is told to a user without privileges, which the tests may not be: in a child process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)
        try:
            check()
            os.write(writer, b"nothing")
        except Unusable as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with open(reader, "rb") as told:  # noqa: PTH123 - a descriptor
        return told.read().decode()


def _missing(folder: Path) -> Guest:
    return _host(folder / "none.img")


def _folder(folder: Path) -> Guest:
    return _host(folder)


def _nul(folder: Path) -> Guest:
    return _host(folder / "a\0b")


def _no_qcow2(folder: Path) -> Guest:
    (folder / "x.qcow2").write_bytes(b"raw bytes")
    return _host(folder / "x.qcow2")


def _backed(folder: Path) -> Guest:
    (folder / "x.qcow2").write_bytes(qcow2_header(backing=512))
    return _host(folder / "x.qcow2")


def _external_data(folder: Path) -> Guest:
    (folder / "x.qcow2").write_bytes(qcow2_header(features=4))
    return _host(folder / "x.qcow2")


def _made_in_no_folder(folder: Path) -> Guest:
    return _host(folder / "no" / "x.img", create_bytes=1)


def _made_as_qcow2(folder: Path) -> Guest:
    return _host(folder / "x.qcow2", create_bytes=1)


def _made_over_a_dangling_link(folder: Path) -> Guest:
    (folder / "link").symlink_to(folder / "nowhere")
    return _host(folder / "link", create_bytes=1)


def _claim(**changes: object) -> Guest:
    disk = replace(Disk(name="d", volume=Claim(claim="data")), **changes)
    return guest_with(disk)


def _no_claim(folder: Path) -> Guest:
    return _claim()


def _a_claim_without_image(folder: Path) -> Guest:
    write(folder, "vmi-disks/d/other.img")
    return _claim()


def _a_claims_image_that_leads_out(folder: Path) -> Guest:
    write(folder, "secret")
    write(folder, "vmi-disks/d/x").unlink()
    (folder / "volumes/vmi-disks/d/disk.img").symlink_to("../../secret")
    return _claim()


def _a_claims_image_that_is_a_pipe(folder: Path) -> Guest:
    write(folder, "vmi-disks/d/disk.img").unlink()
    os.mkfifo(folder / "volumes/vmi-disks/d/disk.img")
    return _claim()


def _a_lun_over_a_folder(folder: Path) -> Guest:
    write(folder, "vmi-disks/d/disk.img")
    return _claim(device=DiskDevice.LUN, bus=DiskBus.SCSI)


def _a_device_that_is_a_file(folder: Path) -> Guest:
    write(folder, "dev/d")
    return _claim()


def _container_disk(path: str | None = None) -> Guest:
    return guest_with(Disk(name="d", volume=ContainerDisk(image="fedora", index=0, path=path)))


def _no_container_disk(folder: Path) -> Guest:
    return _container_disk()


def _a_container_disk_over_another(folder: Path) -> Guest:
    write(folder, "container-disks/disk_0.img", qcow2_header(backing=512))
    return _container_disk()


def _a_container_disk_that_leads_out(folder: Path) -> Guest:
    write(folder, "image-volumes/disk_0/disk/x").unlink()
    (folder / "volumes/image-volumes/disk_0/disk/x").symlink_to("/etc/passwd")
    return _container_disk("/disk/x")


def _two_images_in_a_container_disk(folder: Path) -> Guest:
    write(folder, "image-volumes/disk_0/disk/a")
    write(folder, "image-volumes/disk_0/disk/b")
    return _container_disk()


def _no_config_map(folder: Path) -> Guest:
    return guest_with(Disk(name="d", volume=MountedFolder(kind=FolderKind.CONFIG_MAP, object_name="a")))


def _no_secret_for_cloud_init(folder: Path) -> Guest:
    source = CloudInit(kind=CloudInitKind.CONFIG_DRIVE, user_data_secret="a")  # noqa: S106 - a name
    return guest_with(Disk(name="d", volume=source))


VOLUME = "spec.volumes[d]"
HOST = f"{VOLUME}.hostDisk.path"
IMAGE_FILE = "{}/volumes/container-disks/disk_0.img"
# What is wrong, the field, and the message with {} for the test's folder.
REFUSED: list[tuple[Callable[[Path], Guest], str, str]] = [
    (_missing, HOST, "'{}/none.img': No such file or directory"),
    (_folder, HOST, "'{}' is neither a file nor a block device"),
    (_nul, HOST, "'{}/a\\x00b': its name holds a NUL byte"),
    (_no_qcow2, HOST, "'{}/x.qcow2' is named .qcow2 but is no qcow2 image"),
    (_backed, HOST, "'{}/x.qcow2' has a backing file, which would be opened unchecked; flatten it with qemu-img"),
    (_external_data, HOST, "'{}/x.qcow2' keeps its data in another file, which would be opened unchecked; flatten it"),
    (_made_in_no_folder, HOST, "'{}/no/x.img' cannot be made: '{}/no' is no folder"),
    (
        _made_as_qcow2,
        HOST,
        "'{}/x.qcow2' is not there, and only raw images are made here; make it with qemu-img",
    ),
    (_made_over_a_dangling_link, HOST, "'{}/link': No such file or directory"),
    (
        _no_claim,
        VOLUME,
        "no folder '{}/volumes/vmi-disks/d' and no device '{}/volumes/dev/d': is the claim mounted?",
    ),
    (_a_claim_without_image, VOLUME, "'{}/volumes/vmi-disks/d/disk.img': No such file or directory"),
    (
        _a_claims_image_that_leads_out,
        VOLUME,
        "'{}/volumes/vmi-disks/d/disk.img' leads out of its folder, to '{}/volumes/secret'",
    ),
    (
        _a_claims_image_that_is_a_pipe,
        VOLUME,
        "'{}/volumes/vmi-disks/d/disk.img' is neither a file nor a block device",
    ),
    (
        _a_lun_over_a_folder,
        VOLUME,
        "no folder '{}/volumes/vmi-disks/d' and no device '{}/volumes/dev/d': is the claim mounted?",
    ),
    (_a_device_that_is_a_file, VOLUME, "'{}/volumes/dev/d' is no block device"),
    (
        _no_container_disk,
        f"{VOLUME}.containerDisk",
        f"neither '{IMAGE_FILE}' nor '{{}}/volumes/image-volumes/disk_0' is there: is 'fedora' mounted?",
    ),
    (
        _a_container_disk_over_another,
        f"{VOLUME}.containerDisk",
        f"'{IMAGE_FILE}' has a backing file, which would be opened unchecked; flatten it with qemu-img",
    ),
    (
        _a_container_disk_that_leads_out,
        f"{VOLUME}.containerDisk",
        "'{}/volumes/image-volumes/disk_0/disk/x' leads out of its folder, to '/etc/passwd'",
    ),
    (
        _two_images_in_a_container_disk,
        f"{VOLUME}.containerDisk",
        "'{}/volumes/image-volumes/disk_0/disk' holds 2 files; say which by containerDisk.path, or have one",
    ),
    (
        _no_config_map,
        f"{VOLUME}.configMap",
        "'{}/volumes/config-map/d' is not there: is the configMap mounted?",
    ),
    (
        _no_secret_for_cloud_init,
        f"{VOLUME}.cloudInitConfigDrive",
        "'{}/volumes/secret/d' holds neither 'userdata' nor 'userData': is the secret mounted?",
    ),
]


@pytest.mark.parametrize(
    ("make", "field", "message"), REFUSED, ids=[row[0].__name__.strip("_").replace("_", " ") for row in REFUSED]
)
def test_what_cannot_be_used_is_a_fault_of_its_field(
    tmp_path: Path, make: Callable[[Path], Guest], field: str, message: str
) -> None:
    guest = make(tmp_path)
    assert _faults(guest, tmp_path) == [Fault(field, message.replace("{}", str(tmp_path)))]


def test_every_fault_is_told_at_once_and_then_nothing_is_made(tmp_path: Path) -> None:
    boot = KernelBoot(kernel=str(tmp_path / "vmlinuz"), initrd=str(tmp_path / "initrd"))
    new = Disk(name="new", path=str(tmp_path / "new.img"), create_bytes=MIB)
    guest = replace(guest_with(new, Disk(name="b", path=str(tmp_path / "none.img"))), kernel_boot=boot)
    kernel = "spec.domain.firmware.kernelBoot.container"
    assert [fault.path for fault in _faults(guest, tmp_path)] == [
        f"{kernel}.kernelPath",
        f"{kernel}.initrdPath",
        "spec.volumes[b].hostDisk.path",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_cannot_be_written_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file")
    with pytest.raises(HypervisorError, match=r"/root/storage.*: Not a directory; --root needs a writable folder"):
        _prepared(guest_with(Disk(name="d", volume=EmptyDisk(capacity_bytes=MIB))), tmp_path)


def test_an_image_of_an_unknown_version_is_named(tmp_path: Path) -> None:
    write(tmp_path, "container-disks/disk_0.img", qcow2_header(version=9))
    with pytest.raises(InvalidVMI, match=r"disk_0.img' is of qcow2 version 9, which QEMU does not know"):
        _prepared(_container_disk(), tmp_path)


def test_what_qemu_img_refuses_ends_with_its_words(tmp_path: Path) -> None:
    # More than a file may have.
    write(tmp_path, "container-disks/disk_0.img", qcow2_header(size=1 << 63))
    with pytest.raises(HypervisorError, match=r"^qemu-img create: .*"):
        _prepared(_container_disk(), tmp_path)


def test_a_machine_without_qemu_img_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HypervisorError, match=r"^qemu-img is not installed; Debian's package is qemu-utils$"):
        _prepared(guest_with(Disk(name="d", volume=EmptyDisk(capacity_bytes=MIB))), tmp_path)


@pytest.mark.parametrize("is_link", [False, True], ids=["itself", "through a link"])
def test_a_file_of_the_launchers_own_root_is_no_disk_and_no_kernel(tmp_path: Path, *, is_link: bool) -> None:
    own = write(tmp_path, "../root/log/libvirt.log", b"secret").resolve()
    path = own
    if is_link:
        path = tmp_path / "link.img"
        path.symlink_to(own)
    words = f"{str(path)!r} lies in the launcher's own root, {str(tmp_path / 'root')!r}"
    disk, kernel = _host(path), replace(GUEST, kernel_boot=KernelBoot(kernel=str(path)))
    assert [fault.message.startswith(words) for fault in (*_faults(disk, tmp_path), *_faults(kernel, tmp_path))] == [
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [(32, 2, "is encrypted (method 2)"), (32, 1, "is encrypted (method 1)")],
    ids=["LUKS", "AES"],
)
def test_a_qcow2_image_that_qemu_img_does_not_take_is_refused_by_name(
    tmp_path: Path, at: int, value: int, words: str
) -> None:
    path = tmp_path / "disk.qcow2"
    header = bytearray(qcow2_header())
    header[at : at + 4] = value.to_bytes(4, "big")
    path.write_bytes(header)
    (fault,) = _faults(_host(path), tmp_path)
    assert fault.message.startswith(f"{str(path)!r} {words}")
