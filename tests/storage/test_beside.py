"""ConfigMaps and Secrets beside the machine that names them count where no Pod has mounted them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pycdlib import PyCdlib

from launcher.cli.credentials import keys_by_user, passwords_by_user
from launcher.errors import InvalidVMI
from launcher.storage.prepare import prepare_storage
from launcher.vmi.document import parse_document
from launcher.vmi.guest import Guest
from launcher.vmi.load import admitted
from tests.storage.guests import mounts_of, write

STREAM = """
apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata: {name: guest, namespace: vms}
spec:
  domain: {memory: {guest: 1Gi}, devices: {}}
  volumes:
  - {name: seed, cloudInitNoCloud: {secretRef: {name: user}, networkDataSecretRef: {name: net}}}
  - {name: files, configMap: {name: files}}
  - {name: answers, sysprep: {secret: {name: answers}}}
  accessCredentials:
  - sshPublicKey: {source: {secret: {secretName: keys}}, propagationMethod: {qemuGuestAgent: {users: [root]}}}
  - userPassword: {source: {secret: {secretName: keys}}, propagationMethod: {qemuGuestAgent: {}}}
---
{apiVersion: v1, kind: Secret, metadata: {name: user}, stringData: {userdata: "#cloud-config"}, data: {userdata: bm8=}}
---
{apiVersion: v1, kind: Secret, metadata: {name: net, namespace: vms}, data: {networkData: dmVyc2lvbjogMg==}}
---
{apiVersion: v1, kind: Secret, metadata: {name: net, namespace: other}, data: {networkData: bm8=}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: files}, data: {b: two}, binaryData: {a: AP8=}}
---
{apiVersion: v1, kind: Secret, metadata: {name: answers}, stringData: {autounattend.xml: <x/>}}
---
{apiVersion: v1, kind: Secret, metadata: {name: keys}, stringData: {fedora: ssh-rsa A}}
---
{apiVersion: v1, kind: Secret, metadata: {name: nobodys}, data: {a: "?"}}
"""


def _guest(text: str = STREAM) -> Guest:
    return admitted(parse_document("stream", text.encode())).guest


def _read(path: str) -> dict[str, bytes]:
    """Return the files at the top of a disc."""
    disc, found = PyCdlib(), {}
    disc.open(path)
    for child in disc.list_children(joliet_path="/"):
        name = child.file_identifier().decode("utf-16-be")
        if child.is_file():
            with disc.open_file_from_iso(joliet_path=f"/{name}") as file:
                found[name] = file.read()
    disc.close()
    return found


def _discs(folder: Path, guest: Guest) -> dict[str, dict[str, bytes]]:
    images = prepare_storage(guest, mounts_of(folder), folder / "root")
    return {image.disk: _read(image.path) for image in images}


def test_discs_are_made_of_what_stands_beside_the_machine(tmp_path: Path) -> None:
    discs = _discs(tmp_path, _guest())
    assert discs["seed"]["user-data"] == b"#cloud-config"
    assert discs["seed"]["network-config"] == b"version: 2"
    assert discs["files"] == {"a": b"\0\xff", "b": b"two"}
    assert discs["answers"] == {"autounattend.xml": b"<x/>"}


def test_what_the_pod_has_mounted_counts_before_it(tmp_path: Path) -> None:
    write(tmp_path, "config-map/files/c", b"mounted")
    write(tmp_path, "secret/seed/userdata", b"mounted")
    write(tmp_path, "secret/seed/networkdata", b"mounted")
    discs = _discs(tmp_path, _guest())
    assert discs["files"] == {"c": b"mounted"}
    assert (discs["seed"]["user-data"], discs["seed"]["network-config"]) == (b"mounted", b"mounted")


def test_a_mounted_secret_without_the_data_is_not_made_up_for(tmp_path: Path) -> None:
    write(tmp_path, "secret/seed/other", b"x")
    with pytest.raises(InvalidVMI, match="is the secret mounted"):
        _discs(tmp_path, _guest())


def test_credentials_for_the_agent_come_of_it(tmp_path: Path) -> None:
    guest, mounts = _guest(), mounts_of(tmp_path)
    assert keys_by_user(guest, mounts) == {"root": ("ssh-rsa A",)}
    assert passwords_by_user(guest, mounts) == {"fedora": "ssh-rsa A"}


def test_what_nobody_names_is_not_carried_along() -> None:
    assert {one.name for one in _guest().beside} == {"user", "net", "files", "answers", "keys"}


def test_data_that_is_no_base64_is_told_by_its_document() -> None:
    with pytest.raises(InvalidVMI) as caught:
        _guest(
            STREAM.replace("dmVyc2lvbjogMg==", "version: 2").replace("{networkData: version: 2}", '{networkData: "?"}')
        )
    assert str(caught.value).endswith("data.networkData: is not base64; text belongs below stringData")
