"""The archive: an OCI layout in which every part is found by its digest, and docker's manifest beside it."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from hack.images.oci import write_archive
from tests.image.samples import write_image


@pytest.fixture
def archive(tmp_path: Path) -> dict[str, bytes]:
    write_archive(write_image(tmp_path), tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as archive:
        files = {member.name: archive.extractfile(member) for member in archive}
        return {name: file.read() for name, file in files.items() if file is not None}


def followed(archive: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    """Return the blob that a descriptor names, if it is what the descriptor says."""
    data = archive[f"blobs/{descriptor['digest'].replace(':', '/')}"]
    assert len(data) == descriptor["size"]
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == descriptor["digest"]
    return data


def test_index_manifest_configuration_and_layers_lead_to_each_other(archive: dict[str, bytes]) -> None:
    assert json.loads(archive["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads(archive["index.json"])["manifests"]
    assert entry["annotations"] == {
        "org.opencontainers.image.ref.name": "sample:1",
        "io.containerd.image.name": "sample:1",
    }
    manifest = json.loads(followed(archive, entry))
    config = json.loads(followed(archive, manifest["config"]))
    plain = [gzip.decompress(followed(archive, layer)) for layer in manifest["layers"]]
    assert [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in plain] == config["rootfs"]["diff_ids"]
    assert (config["architecture"], config["os"], config["config"]) == ("amd64", "linux", {"User": "107:107"})


def test_docker_finds_configuration_and_layers_too(archive: dict[str, bytes]) -> None:
    (entry,) = json.loads(archive["manifest.json"])
    assert entry["RepoTags"] == ["sample:1"]
    assert json.loads(archive[entry["Config"]])["rootfs"]["type"] == "layers"
    assert all(gzip.decompress(archive[layer]) for layer in entry["Layers"])


def test_the_same_layers_make_the_same_archive(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write_archive(write_image(tmp_path / name), tmp_path / name / "image.tar")
    assert (tmp_path / "first/image.tar").read_bytes() == (tmp_path / "second/image.tar").read_bytes()
