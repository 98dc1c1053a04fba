"""Tags on a config drive: written into the disc once libvirt has chosen the devices' addresses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from pycdlib import PyCdlib

from launcher.errors import HypervisorError
from launcher.storage.layout import disc_path, storage_folder
from launcher.storage.prepare import prepare_storage
from launcher.storage.tags import METADATA, DeviceType, TaggedDevice, tags_of, tell_tags
from launcher.vmi.guest import Disk, Guest
from launcher.vmi.guest_devices import DeviceKind, DeviceRequest
from launcher.vmi.guest_machine import Interface, InterfaceBackend
from launcher.vmi.guest_storage import CloudInit, CloudInitKind
from tests.storage.guests import guest_with, mounts_of

CARD = TaggedDevice(type=DeviceType.CARD, bus="pci", address="0000:01:00.0", tag="front", mac="02:00:00:00:00:01")
DEVICE = TaggedDevice(type=DeviceType.HOST_DEVICE, bus="pci", address="0000:fe:00.0", tag="qat", node=1)
NEAR = TaggedDevice(type=DeviceType.HOST_DEVICE, bus="pci", address="0000:02:00.0", tag="qat", vcpus=(2, 0))


def tagged(kind: CloudInitKind = CloudInitKind.CONFIG_DRIVE) -> Guest:
    """Return a guest with a tagged card, a tagged device of the host, and a disc for cloud-init."""
    guest = guest_with(Disk(name="seed", volume=CloudInit(kind=kind, user_data=b"#!/bin/sh\n")))
    card = Interface(name="a", backend=InterfaceBackend.POD, tag="front")
    device = DeviceRequest(kind=DeviceKind.HOST_DEVICE, index=0, name="q", resource="intel.com/qat", tag="qat")
    peripherals = replace(guest.peripherals, interfaces=(card,))
    return replace(guest, peripherals=peripherals, host_devices=(device,))


def prepared(guest: Guest, folder: Path) -> str:
    """Make the guest's disc; return the folder that it is in."""
    prepare_storage(guest, mounts_of(folder), folder / "root")
    return storage_folder(str(folder / "root"), guest)


def metadata(folder: str) -> bytes:
    """Read the metadata as a guest does."""
    disc = PyCdlib()
    disc.open(disc_path(folder, "seed"))
    with disc.open_file_from_iso(joliet_path=f"/{METADATA}") as file:
        data: bytes = file.read()
    disc.close()
    return data


def told(folder: str) -> Any:
    """Return what the metadata says of devices."""
    return json.loads(metadata(folder)).get("devices")


def test_the_devices_are_written_in_kubevirts_words(tmp_path: Path) -> None:
    folder = prepared(tagged(), tmp_path)
    assert told(folder) is None
    tell_tags(folder, tagged(), (CARD, DEVICE, NEAR))
    assert told(folder) == [
        {"type": "nic", "bus": "pci", "address": "0000:01:00.0", "mac": "02:00:00:00:00:01", "tags": ["front"]},
        {"type": "hostdev", "bus": "pci", "address": "0000:fe:00.0", "numaNode": 1, "tags": ["qat"]},
        {"type": "hostdev", "bus": "pci", "address": "0000:02:00.0", "alignedCPUs": [2, 0], "tags": ["qat"]},
    ]


def test_the_disc_stays_as_long_as_it_is_and_the_rest_of_it_too(tmp_path: Path) -> None:
    folder = prepared(tagged(), tmp_path)
    file = Path(disc_path(folder, "seed"))
    before, kept = file.read_bytes(), json.loads(metadata(folder))
    tell_tags(folder, tagged(), (CARD, DEVICE))
    after = file.read_bytes()
    assert len(after) == len(before)
    assert json.loads(metadata(folder)) == kept | {"devices": told(folder)}
    changed = [place for place in range(len(before)) if before[place] != after[place]]
    assert changed[-1] - changed[0] < len(metadata(folder))


def test_it_may_be_done_again(tmp_path: Path) -> None:
    folder = prepared(tagged(), tmp_path)
    tell_tags(folder, tagged(), (CARD, DEVICE))
    tell_tags(folder, tagged(), (DEVICE,))
    assert [device["tags"] for device in told(folder)] == [["qat"]]


def test_a_tag_of_any_characters_fits(tmp_path: Path) -> None:
    tag = '"\u00e9\n' * 500
    guest = replace(tagged(), host_devices=(replace(tagged().host_devices[0], tag=tag),))
    folder = prepared(guest, tmp_path)
    tell_tags(folder, guest, (CARD, replace(DEVICE, tag=tag)))
    assert told(folder)[1]["tags"] == [tag]


def test_a_guest_without_tags_has_no_room_for_them(tmp_path: Path) -> None:
    guest = replace(tagged(), peripherals=guest_with().peripherals, host_devices=())
    assert tags_of(guest) == ()
    assert not metadata(prepared(guest, tmp_path)).endswith(b" ")


def test_a_disc_of_no_cloud_says_nothing_of_devices(tmp_path: Path) -> None:
    guest = tagged(CloudInitKind.NO_CLOUD)
    folder = prepared(guest, tmp_path)
    before = Path(disc_path(folder, "seed")).read_bytes()
    tell_tags(folder, guest, (CARD,))
    assert Path(disc_path(folder, "seed")).read_bytes() == before


def test_what_does_not_fit_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    folder = prepared(tagged(), tmp_path)
    before = metadata(folder)
    with pytest.raises(HypervisorError, match=r"seed\.iso: \d+ bytes of metadata do not fit into the \d+ that it has"):
        tell_tags(folder, tagged(), (CARD,) * 40)
    assert metadata(folder) == before


def test_a_disc_that_is_a_link_or_is_not_there_is_told(tmp_path: Path) -> None:
    folder = prepared(tagged(), tmp_path)
    path = Path(disc_path(folder, "seed"))
    away = path.rename(tmp_path / "away")
    with pytest.raises(HypervisorError, match=r"seed\.iso: No such file"):
        tell_tags(folder, tagged(), (CARD,))
    path.symlink_to(away)
    with pytest.raises(HypervisorError, match=r"seed\.iso: "):
        tell_tags(folder, tagged(), (CARD,))
