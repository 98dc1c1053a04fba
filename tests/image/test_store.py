"""The image store: layers unpacked one above the other, and records by which podman finds them."""

from __future__ import annotations

import base64
import json
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from hack.images.oci import Image, digest_of
from hack.images.store import write_store
from tests.image.samples import CAPABILITY, CAPABILITY_HEADER, LONG_NAME, write_image


@pytest.fixture
def store(tmp_path: Path) -> tarfile.TarFile:
    return store_of(write_image(tmp_path))


def store_of(image: Image) -> tarfile.TarFile:
    file = BytesIO()
    write_store(image, file)
    file.seek(0)
    return tarfile.open(fileobj=file)


def text_of(store: tarfile.TarFile, name: str) -> str:
    file = store.extractfile(name)
    assert file is not None
    return file.read().decode()


def layer_ids(store: tarfile.TarFile) -> tuple[str, str]:
    base, top = json.loads(text_of(store, "overlay-layers/layers.json"))
    assert top["parent"] == base["id"]
    assert "parent" not in base
    return base["id"], top["id"]


def test_each_layer_lies_unpacked_under_its_id_and_its_link(store: tarfile.TarFile) -> None:
    base, top = layer_ids(store)
    for layer, file in ((base, "usr/bin/init"), (top, "program")):
        link = text_of(store, f"overlay/{layer}/link")
        assert store.getmember(f"overlay/l/{link}").linkname == f"../{layer}/diff"
        assert store.getmember(f"overlay/{layer}/diff/{file}").isreg()


def test_a_layer_names_those_below_it_by_their_links(store: tarfile.TarFile) -> None:
    base, top = layer_ids(store)
    assert text_of(store, f"overlay/{top}/lower") == f"l/{text_of(store, f'overlay/{base}/link')}"
    assert f"overlay/{base}/lower" not in store.getnames()


def test_owners_capabilities_links_and_long_names_stay_what_they_were(store: tarfile.TarFile) -> None:
    folder = f"overlay/{layer_ids(store)[0]}/diff"
    init = store.getmember(f"{folder}/usr/bin/init")
    assert (init.uid, init.mode) == (107, 0o755)
    assert init.pax_headers[CAPABILITY_HEADER].encode("utf-8", "surrogateescape") == CAPABILITY
    assert store.getmember(f"{folder}/usr/bin/again").linkname == f"{folder}/usr/bin/init"
    assert store.getmember(f"{folder}/bin").linkname == "usr/bin"
    assert text_of(store, f"{folder}/{LONG_NAME}") == "long"


def test_no_name_holds_a_dot_that_leads_nowhere(store: tarfile.TarFile) -> None:
    assert [name for name in store.getnames() if {".", ".."} & set(name.split("/"))] == []


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("sample:1", "localhost/sample:1"),
        ("team/sample:1", "localhost/team/sample:1"),
        ("localhost/sample:1", "localhost/sample:1"),
        ("registry.example/sample:1", "registry.example/sample:1"),
        ("registry:5000/sample:1", "registry:5000/sample:1"),
    ],
)
def test_a_name_with_a_registry_is_kept_and_another_is_of_this_machine(tmp_path: Path, name: str, full: str) -> None:
    store = store_of(write_image(tmp_path, name))
    (record,) = json.loads(text_of(store, "overlay-images/images.json"))
    assert record["names"] == [full]


def test_the_image_is_found_by_its_name_and_its_documents_by_theirs(store: tarfile.TarFile) -> None:
    (record,) = json.loads(text_of(store, "overlay-images/images.json"))
    assert record["names"] == ["localhost/sample:1"]
    assert record["layer"] == layer_ids(store)[1]
    manifest = text_of(store, f"overlay-images/{record['id']}/manifest")
    assert digest_of(manifest.encode()) == record["digest"]
    config_name = json.loads(manifest)["config"]["digest"]
    assert config_name == f"sha256:{record['id']}"
    encoded = base64.b64encode(config_name.encode()).decode()
    assert digest_of(text_of(store, f"overlay-images/{record['id']}/={encoded}").encode()) == config_name
    assert set(record["big-data-names"]) == {"manifest", f"manifest-{record['digest']}", config_name}
