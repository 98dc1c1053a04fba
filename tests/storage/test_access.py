"""What comes by the Pod's mounts beside disks: keys, answer files, a kernel from an image, folders to share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from pycdlib import PyCdlib

from launcher.errors import InvalidVMI
from launcher.storage.cloudinit import cloud_init_files
from launcher.storage.find import find_kernel
from launcher.storage.layout import with_kernel_from
from launcher.storage.prepare import prepare_storage
from launcher.storage.shares import Share, check_shares, shares_of
from launcher.vmi.guest import Disk, DiskDevice, KernelBoot
from launcher.vmi.guest_storage import (
    Claim,
    CloudInit,
    CloudInitKind,
    ContainerPath,
    FolderKind,
    MountedFolder,
    SharedFolder,
)
from tests.storage.guests import GUEST, guest_with, mounts_of, write

KINDS = [
    (CloudInitKind.NO_CLOUD, "/META_DAT.;1", "meta-data", "public-keys", "local-hostname"),
    (CloudInitKind.CONFIG_DRIVE, "", "openstack/latest/meta_data.json", "public_keys", "hostname"),
]


@pytest.mark.parametrize(("kind", "_path", "file", "field", "host"), KINDS, ids=[row[0].value for row in KINDS])
def test_a_disc_for_cloud_init_says_the_hostname_and_the_keys(
    kind: CloudInitKind, _path: str, file: str, field: str, host: str
) -> None:
    files = dict(cloud_init_files(kind, replace(GUEST, hostname="web"), b"x", b"", ("ssh-rsa A", "ssh-rsa B")))
    meta = json.loads(files[file])
    assert meta[field] == {"0": "ssh-rsa A", "1": "ssh-rsa B"}
    assert meta[host] == "web"


def test_keys_are_the_values_of_their_secrets_in_order_and_an_empty_one_is_none(tmp_path: Path) -> None:
    for path, data in (("a/b", b"ssh-rsa B"), ("a/a", b"ssh-rsa A"), ("a/c", b""), ("z/k", b"ssh-rsa Z")):
        secret, name = path.split("/")
        write(tmp_path, f"secret/{secret}-access-cred/{name}", data)
    volume = CloudInit(kind=CloudInitKind.NO_CLOUD, user_data=b"x", key_secrets=("a", "z"))
    (image,) = prepare_storage(guest_with(Disk(name="seed", volume=volume)), mounts_of(tmp_path), tmp_path / "root")
    disc = PyCdlib()
    disc.open(image.path)
    with disc.open_file_from_iso(joliet_path="/meta-data") as file:
        meta = json.loads(file.read())
    disc.close()
    assert meta["public-keys"] == {"0": "ssh-rsa A", "1": "ssh-rsa B", "2": "ssh-rsa Z"}


KEY_FAULTS = [
    ("a_secret_that_is_not_mounted", None, "is the secret 'keys' of accessCredentials mounted?"),
    ("a_key_that_is_no_text", b"\xff", "is no public key: it is not text"),
]


@pytest.mark.parametrize(("data", "words"), [row[1:] for row in KEY_FAULTS], ids=[row[0] for row in KEY_FAULTS])
def test_a_key_cannot_come_from(tmp_path: Path, data: bytes | None, words: str) -> None:
    if data is not None:
        write(tmp_path, "secret/keys-access-cred/k", data)
    volume = CloudInit(kind=CloudInitKind.NO_CLOUD, user_data=b"x", key_secrets=("keys",))
    with pytest.raises(InvalidVMI, match=words):
        prepare_storage(guest_with(Disk(name="seed", volume=volume)), mounts_of(tmp_path), tmp_path / "root")


@pytest.mark.parametrize(("name", "is_taken"), [("autounattend.xml", True), ("Unattend.XML", True), ("a.xml", False)])
def test_an_answer_file_is_one_by_its_name(tmp_path: Path, *, name: str, is_taken: bool) -> None:
    write(tmp_path, f"sysprep/answers/{name}", b"<x/>")
    volume = MountedFolder(kind=FolderKind.SYSPREP, object_name="c", label="unattendCD")
    guest = guest_with(Disk(name="answers", device=DiskDevice.CDROM, volume=volume))
    if is_taken:
        (image,) = prepare_storage(guest, mounts_of(tmp_path), tmp_path / "root")
        assert b"unattendCD" in Path(image.path).read_bytes()
        return
    with pytest.raises(InvalidVMI, match=r"spec.volumes\[answers\].sysprep: .*holds neither 'autounattend.xml' nor"):
        prepare_storage(guest, mounts_of(tmp_path), tmp_path / "root")


BOOT = replace(GUEST, kernel_boot=KernelBoot(kernel="/boot/vmlinuz", initrd="/boot/initrd", image="k:1"))


def test_a_kernel_from_an_image_is_found_below_its_mount_whatever_links_lead_there(tmp_path: Path) -> None:
    kernel = write(tmp_path, "kernel-boot/boot/vmlinuz-6.1", b"k")
    initrd = write(tmp_path, "kernel-boot/boot/initrd", b"i")
    (kernel.parent / "vmlinuz").symlink_to("vmlinuz-6.1")
    found = find_kernel(BOOT, mounts_of(tmp_path)).kernel_boot
    assert found == KernelBoot(kernel=str(kernel), initrd=str(initrd))
    expected = with_kernel_from(BOOT, mounts_of(tmp_path)).kernel_boot
    assert expected == KernelBoot(kernel=str(kernel.parent / "vmlinuz"), initrd=str(initrd))


def test_a_link_of_the_image_that_leads_to_the_launchers_own_files_is_refused(tmp_path: Path) -> None:
    initrd = write(tmp_path, "kernel-boot/boot/initrd", b"i")
    (initrd.parent / "vmlinuz").symlink_to("/etc/passwd")
    with pytest.raises(InvalidVMI, match=r"kernelBoot.container.kernelPath: .*leads out of its folder"):
        find_kernel(BOOT, mounts_of(tmp_path))


def test_a_guest_without_a_kernel_from_an_image_is_as_it_was(tmp_path: Path) -> None:
    plain = replace(GUEST, kernel_boot=KernelBoot(kernel="/k"))
    assert find_kernel(plain, mounts_of(tmp_path)) == with_kernel_from(plain, mounts_of(tmp_path)) == plain


SHARED = replace(
    GUEST,
    shared_folders=(
        SharedFolder(name="data", source=Claim(claim="c")),
        SharedFolder(name="conf", source=MountedFolder(kind=FolderKind.CONFIG_MAP, object_name="c")),
        SharedFolder(name="path", source=ContainerPath(path="/var/run/secrets/x")),
    ),
)


def test_a_shared_folder_is_where_its_volume_is_mounted(tmp_path: Path) -> None:
    folder = tmp_path / "volumes"
    assert shares_of(SHARED, mounts_of(tmp_path), "/root/run") == (
        Share(tag="data", folder=str(folder / "vmi-disks/data"), socket="/root/run/fs0.sock"),
        Share(tag="conf", folder=str(folder / "config-map/conf"), socket="/root/run/fs1.sock"),
        Share(tag="path", folder="/var/run/secrets/x", socket="/root/run/fs2.sock"),
    )


def test_every_shared_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    write(tmp_path, "config-map/conf/key", b"")
    with pytest.raises(InvalidVMI) as refusal:
        check_shares(SHARED, shares_of(SHARED, mounts_of(tmp_path), "/root/run"))
    assert [fault.path for fault in refusal.value.faults] == ["spec.volumes[data]", "spec.volumes[path]"]
