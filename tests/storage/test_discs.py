"""Discs: what a guest finds on them, the same bytes for the same input, and no file from outside its folder."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pycdlib import PyCdlib

from launcher.errors import InvalidVMI
from launcher.storage.discs import build_disc
from launcher.storage.prepare import prepare_storage
from launcher.vmi.guest import Disk
from launcher.vmi.guest_storage import CloudInit, CloudInitKind, FolderKind, MountedFolder, Volume
from tests.storage.guests import GUEST, mounts_of, write

NO_CLOUD, CONFIG_DRIVE = CloudInitKind.NO_CLOUD, CloudInitKind.CONFIG_DRIVE
UUID = "5d307ca9-b3ef-428c-8861-06e72d69f223"


def _files(image: bytes) -> dict[str, bytes]:
    """Return the files of a disc by their Joliet paths; the Rock Ridge names must be the same."""
    disc = PyCdlib()
    disc.open_fp(BytesIO(image))
    joliet, rock_ridge = _walk(disc, "joliet_path"), _walk(disc, "rr_path")
    disc.close()
    assert joliet == rock_ridge
    return joliet


def _walk(disc: PyCdlib, kind: str) -> dict[str, bytes]:
    found = {}
    for folder, _, names in disc.walk(**{kind: "/"}):
        for name in names:
            path = f"{folder.rstrip('/')}/{name}"
            data = BytesIO()
            disc.get_file_from_iso_fp(data, **{kind: path})
            found[path.lstrip("/")] = data.getvalue()
    return found


def _label(image: bytes) -> str:
    return image[16 * 2048 + 40 : 16 * 2048 + 72].decode().rstrip()


def _burnt(volume: Volume, folder: Path, *, uuid: str | None = None) -> tuple[str, dict[str, bytes]]:
    guest = replace(GUEST, uuid=uuid, disks=(Disk(name="disc", volume=volume),))
    (image,) = prepare_storage(guest, mounts_of(folder), folder / "root")
    data = Path(image.path).read_bytes()
    return _label(data), _files(data)


def test_no_cloud_finds_its_data_and_who_it_is(tmp_path: Path) -> None:
    volume = CloudInit(kind=NO_CLOUD, user_data=b"#cloud-config\n", network_data=b"version: 2\n")
    label, files = _burnt(volume, tmp_path, uuid=UUID)
    assert label == "cidata"
    assert json.loads(files.pop("meta-data")) == {"instance-id": UUID, "local-hostname": "g"}
    assert files == {"user-data": b"#cloud-config\n", "network-config": b"version: 2\n"}


def test_a_config_drive_has_openstacks_layout(tmp_path: Path) -> None:
    volume = CloudInit(kind=CONFIG_DRIVE, user_data=b"#!/bin/sh\n", network_data=b"{}")
    label, files = _burnt(volume, tmp_path, uuid=UUID)
    assert label == "config-2"
    assert json.loads(files.pop("openstack/latest/meta_data.json")) == {
        "instance_id": "g.default",
        "hostname": "g",
        "uuid": UUID,
    }
    assert files == {"openstack/latest/user_data": b"#!/bin/sh\n", "openstack/latest/network_data.json": b"{}"}


def test_a_guest_without_uuid_is_known_by_its_names(tmp_path: Path) -> None:
    _, files = _burnt(CloudInit(kind=NO_CLOUD, network_data=b"a"), tmp_path)
    assert json.loads(files["meta-data"])["instance-id"] == "g.default"
    assert files["user-data"] == b""


@pytest.mark.parametrize("kind", [NO_CLOUD, CONFIG_DRIVE])
@pytest.mark.parametrize(("user", "network"), [("userdata", "networkdata"), ("userData", "networkData")])
def test_data_comes_from_mounted_secrets(tmp_path: Path, kind: CloudInitKind, user: str, network: str) -> None:
    write(tmp_path, f"secret/disc/{user}", b"\xff\0user")
    write(tmp_path, f"secret/disc/{network}", b"network")
    volume = CloudInit(kind=kind, user_data_secret="a", network_data_secret="b")  # noqa: S106 - names
    _, files = _burnt(volume, tmp_path)
    assert {b"\xff\0user", b"network"} <= set(files.values())


FOLDERS = [
    (FolderKind.CONFIG_MAP, "config-map/disc"),
    (FolderKind.SECRET, "secret/disc"),
    (FolderKind.DOWNWARD_API, "downwardapi/disc"),
    (FolderKind.SERVICE_ACCOUNT, "serviceaccount"),
]


@pytest.mark.parametrize(("kind", "place"), FOLDERS, ids=[kind.value for kind, _ in FOLDERS])
def test_a_folder_as_the_kubelet_mounts_it_becomes_a_disc(tmp_path: Path, kind: FolderKind, place: str) -> None:
    write(tmp_path, f"{place}/..2026_11_22/key.with-dots_1", b"value")
    write(tmp_path, f"{place}/..2026_11_22/below/labels", b'a="b"')
    folder = tmp_path / "volumes" / place
    (folder / "..data").symlink_to("..2026_11_22")
    (folder / "key.with-dots_1").symlink_to("..data/key.with-dots_1")
    (folder / "below").symlink_to("..data/below")
    label, files = _burnt(MountedFolder(kind=kind, object_name="a"), tmp_path)
    assert (label, files) == ("cfgdata", {"key.with-dots_1": b"value", "below/labels": b'a="b"'})


def test_a_disc_has_the_label_that_the_manifest_says(tmp_path: Path) -> None:
    write(tmp_path, "config-map/disc/ks.cfg", b"install")
    label, _ = _burnt(MountedFolder(kind=FolderKind.CONFIG_MAP, label="OEMDRV"), tmp_path)
    assert label == "OEMDRV"


def test_an_optional_folder_that_is_not_there_is_an_empty_disc(tmp_path: Path) -> None:
    assert _burnt(MountedFolder(kind=FolderKind.SECRET, optional=True), tmp_path) == ("cfgdata", {})


def _link_out(folder: Path) -> None:
    (folder.parent / "shadow").write_text("secret")
    (folder / "key").symlink_to("../shadow")


def _link_to_the_root(folder: Path) -> None:
    (folder / "key").symlink_to("/")


def _folder_link_out(folder: Path) -> None:
    (folder / "..data").symlink_to("/etc")
    (folder / "key").symlink_to("..data/passwd")


def _link_to_itself(folder: Path) -> None:
    (folder / "key").symlink_to("key")


def _link_to_the_folder(folder: Path) -> None:
    (folder / "key").symlink_to(".")


def _link_to_nowhere(folder: Path) -> None:
    (folder / "key").symlink_to("..data/key")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "key")


def _bad_name(folder: Path) -> None:
    (folder / "a\nb").touch()


def _undecodable_name(folder: Path) -> None:
    os.close(os.open(os.fsencode(folder) + b"/\xff", os.O_CREAT))


def _long_name(folder: Path) -> None:
    (folder / ("x" * 65)).touch()


def _large(folder: Path) -> None:
    (folder / "key").touch()
    os.truncate(folder / "key", 1 << 40)


def _large_together(folder: Path) -> None:
    for name in ("a", "key"):
        (folder / name).touch()
        os.truncate(folder / name, 9 << 20)


REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (_link_out, r"/key' leads out of its folder, to '.*/shadow'"),
    (_link_to_the_root, r"/key' leads out of its folder, to '/'"),
    (_folder_link_out, r"/key' leads out of its folder, to '/etc/passwd'"),
    (_link_to_itself, r"/key': Too many levels of symbolic links"),
    (_link_to_the_folder, r"has folders more than 7 deep, at 'key/key/key/key/key/key/key/'"),
    (_link_to_nowhere, r"/key': No such file or directory"),
    (_pipe, r"/key' is not a file"),
    (_bad_name, r"holds 'a\\nb'; names on a disc are 1 to 64 of A-Z, a-z, 0-9 and \._-"),
    (_undecodable_name, r"holds '\\udcff'; names on a disc are"),
    (_long_name, r"holds 'x{65}'; names on a disc are"),
    (_large, r"/key' is larger than 16777216 bytes"),
    (_large_together, r"/key' is larger than 7340032 bytes"),
]


@pytest.mark.parametrize(
    ("make", "message"), REFUSED, ids=[row[0].__name__.strip("_").replace("_", " ") for row in REFUSED]
)
def test_nothing_from_outside_of_a_folder_gets_on_its_disc(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    folder = tmp_path / "volumes/config-map/disc"
    folder.mkdir(parents=True)
    make(folder)
    with pytest.raises(InvalidVMI, match=rf"spec\.volumes\[disc\]\.configMap: .*{message}"):
        _burnt(MountedFolder(kind=FolderKind.CONFIG_MAP), tmp_path)


def test_the_same_input_gives_the_same_disc_whatever_the_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    files = (("a/b", b"1"), ("c", b"2"))
    before = build_disc("label", files)
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    assert build_disc("label", files) == before
    monkeypatch.undo()
    time.tzset()


def test_the_libraries_clock_goes_on_after_a_disc() -> None:
    from pycdlib import dates, headervd, pycdlib  # noqa: PLC0415 - modules, whose clocks are looked at

    build_disc("label", (("a", b""),))
    assert [vars(module)["time"] for module in (dates, headervd, pycdlib)] == [time] * 3


names = st.text("abcXYZ019.-_", min_size=1, max_size=64).filter(lambda name: name.strip("."))


@given(st.dictionaries(names, st.binary(max_size=5000), max_size=6))
def test_every_name_and_every_byte_is_on_the_disc(files: dict[str, bytes]) -> None:
    image = build_disc("cidata", tuple(sorted(files.items())))
    assert _files(image) == files
