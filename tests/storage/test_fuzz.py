"""Any name and any bytes in the mounted folders: an image, or a refusal with words, and never another error."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from launcher.errors import InvalidVMI
from launcher.storage.files import Unusable
from launcher.storage.find import ToLayer, find
from launcher.storage.prepare import prepare_storage
from launcher.vmi.guest import Disk, Guest, ImageFormat
from launcher.vmi.guest_storage import Claim, CloudInit, CloudInitKind, ContainerDisk, FolderKind, MountedFolder
from tests.storage.guests import GUEST, guest_with, mounts_of, qcow2_header

CONFIG_MAP = MountedFolder(kind=FolderKind.CONFIG_MAP)

# What may lie in a folder: a file with these bytes, a link to there, a folder.
entries = st.one_of(
    st.tuples(st.just("file"), st.binary(max_size=20) | st.builds(qcow2_header, backing=st.integers(0, 2**63))),
    st.tuples(st.just("link"), st.sampled_from([".", "..", "/", "/etc/passwd", "a", "..data/a", "nowhere", "\n"])),
    st.tuples(st.just("folder"), st.just(b"")),
)
file_names = st.sampled_from(["a", "b", "..data", ".x", "disk.img", "userdata"]) | st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20
).filter(lambda name: name not in (".", ".."))


def _fill(folder: Path, content: dict[str, tuple[str, bytes | str]]) -> None:
    folder.mkdir(parents=True)
    for name, (kind, what) in content.items():
        path = folder / name
        if kind == "link":
            path.symlink_to(str(what))
        elif kind == "folder":
            path.mkdir()
        else:
            path.write_bytes(what if isinstance(what, bytes) else b"")


def _is_told(guest: Guest, folder: Path) -> bool:
    """Prepare the storage; tell whether every refusal has one line of printable words."""
    try:
        images = prepare_storage(guest, mounts_of(folder), folder / "root")
    except InvalidVMI as error:
        return all(fault.message and str(fault).isprintable() for fault in error.faults)
    return [image.disk for image in images] == [disk.name for disk in guest.disks]


@given(st.dictionaries(file_names, entries, max_size=4))
def test_any_folder_is_a_disc_or_refused(content: dict[str, tuple[str, bytes | str]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        _fill(Path(place) / "volumes/config-map/root", content)
        assert _is_told(guest_with(Disk(name="root", volume=CONFIG_MAP)), Path(place))


@given(st.dictionaries(file_names, entries, max_size=3))
def test_any_secret_for_cloud_init_is_a_disc_or_refused(content: dict[str, tuple[str, bytes | str]]) -> None:
    source = CloudInit(kind=CloudInitKind.NO_CLOUD, user_data_secret="a")  # noqa: S106 - a name
    with tempfile.TemporaryDirectory() as place:
        _fill(Path(place) / "volumes/secret/root", content)
        assert _is_told(guest_with(Disk(name="root", volume=source)), Path(place))


@given(st.dictionaries(file_names, entries, max_size=3))
def test_any_claim_is_an_image_or_refused(content: dict[str, tuple[str, bytes | str]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        _fill(Path(place) / "volumes/vmi-disks/root", content)
        assert _is_told(guest_with(Disk(name="root", volume=Claim(claim="a"))), Path(place))


@given(st.binary(max_size=120) | st.binary(max_size=100).map(lambda data: b"QFI\xfb" + data))
def test_any_bytes_are_a_container_disk_or_refused(data: bytes) -> None:
    """Only finding it: qemu-img's own reading of an image is QEMU's affair."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        image = folder / "volumes/container-disks/disk_0.img"
        image.parent.mkdir(parents=True)
        image.write_bytes(data)
        disk = Disk(name="root", volume=ContainerDisk(image="a", index=0))
        try:
            found = find(disk, GUEST, mounts_of(folder))
        except Unusable:
            assert data.startswith(b"QFI\xfb")
        else:
            assert isinstance(found, ToLayer)
            assert (found.backing.format is ImageFormat.QCOW2) == data.startswith(b"QFI\xfb")
