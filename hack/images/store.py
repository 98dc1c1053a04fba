"""A node's image store: images unpacked as podman and CRI-O keep them, so that a node has them without loading any.

The layout is that of containers/storage with its overlay driver, made to be named in `additionalimagestores`
(containers-storage.conf(5)): it is only read.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import re
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

from hack.images.errors import ImageError
from hack.images.layers import EPOCH, Layer
from hack.images.oci import Image, digest_of, manifest_of, plain_descriptor, to_json

_LAYERS, _IMAGES = "overlay-layers", "overlay-images"
_CREATED = "1980-01-01T00:00:00Z"
# Names that containers/storage takes for a file's name as they are; all others it writes in base64.
_PLAIN_NAME = re.compile(r"[0-9a-z.]+")
# A squashfs of plain blocks: an emulated node's time is dearer than a host's disk.
_SQUASHFS = ("sqfstar", "-quiet", "-no-progress", "-mkfs-time", str(EPOCH), "-noI", "-noD", "-noF", "-noX")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """A layer and its place in the chain: its own id, those below from the nearest on."""

    layer: Layer
    id: str
    below: tuple[str, ...]

    @property
    def link(self) -> str:
        """The short name by which layers above mount this one."""
        return _link_of(self.id)


def write_disc(image: Image, path: Path) -> None:
    """Write a disc (squashfs) with a store that holds this image; raises ImageError where sqfstar cannot."""
    partial = path.with_suffix(".part")
    partial.unlink(missing_ok=True)
    try:
        squashing = subprocess.Popen([*_SQUASHFS, partial], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        raise ImageError("sqfstar is not there: install squashfs-tools 4.5 or later") from None
    assert squashing.stdin is not None  # noqa: S101 - a pipe was asked for
    with squashing, squashing.stdin as pipe:
        write_store(image, pipe)
    if squashing.returncode != 0:
        raise ImageError(f"sqfstar failed (status {squashing.returncode}); is the disk full?")
    partial.replace(path)


def write_store(image: Image, file: IO[bytes]) -> None:
    """Write the store as a tar archive into a file or pipe."""
    placed = tuple(_placed(image))
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for folder in ("overlay", "overlay/l", _LAYERS, _IMAGES):
            archive.addfile(_folder(folder))
        for layer in placed:
            _add_layer(archive, layer)
        for name, data in _records(image, placed).items():
            _add_file(archive, name, data)


def _placed(image: Image) -> Iterator[_Placed]:
    below: tuple[str, ...] = ()
    for layer in image.layers:
        chain = hashlib.sha256(" ".join((*below[:1], layer.archive.sha256)).encode()).hexdigest()
        yield _Placed(layer=layer, id=chain, below=below)
        below = (chain, *below)


def _link_of(layer_id: str) -> str:
    """Return 26 letters and digits, as long as the links that containers/storage draws at random."""
    return base64.b32encode(bytes.fromhex(layer_id)).decode()[:26]


def _add_layer(archive: tarfile.TarFile, placed: _Placed) -> None:
    home = f"overlay/{placed.id}"
    archive.addfile(_folder(home))
    archive.addfile(_link(f"overlay/l/{placed.link}", f"../{placed.id}/diff"))
    _add_file(archive, f"{home}/link", placed.link.encode())
    if placed.below:
        _add_file(archive, f"{home}/lower", ":".join(f"l/{_link_of(below)}" for below in placed.below).encode())
    archive.addfile(_folder(f"{home}/diff"))
    with tarfile.open(placed.layer.archive.path) as source:
        for member in source:
            if member.name != ".":
                archive.addfile(_moved(member, f"{home}/diff"), source.extractfile(member) if member.isreg() else None)


def _moved(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """Return the header of a layer's file below another folder; everything else of it stays, capabilities too."""
    moved = copy.copy(member)
    moved.name = f"{folder}/{member.name.removeprefix('./')}"
    if member.islnk():
        moved.linkname = f"{folder}/{member.linkname.removeprefix('./')}"
    # A name in the extended header, where it was too long for the other, would win over the new one.
    moved.pax_headers = {key: value for key, value in member.pax_headers.items() if key not in ("path", "linkpath")}
    return moved


def _records(image: Image, placed: tuple[_Placed, ...]) -> dict[str, bytes]:
    """Return the store's own records by their paths: which layers and images there are, and the images' documents."""
    manifest = manifest_of(image.config, [plain_descriptor(layer) for layer in image.layers])
    image_id = digest_of(image.config).removeprefix("sha256:")
    documents = {
        "manifest": manifest,
        f"manifest-{digest_of(manifest)}": manifest,
        digest_of(image.config): image.config,
    }
    return {
        f"{_LAYERS}/layers.json": to_json([_layer_record(layer) for layer in placed]),
        f"{_LAYERS}/layers.lock": b"",
        f"{_IMAGES}/images.json": to_json([_image_record(image, image_id, placed[-1].id, documents)]),
        f"{_IMAGES}/images.lock": b"",
        **{f"{_IMAGES}/{image_id}/{_file_name(name)}": data for name, data in documents.items()},
    }


def _layer_record(placed: _Placed) -> dict[str, object]:
    layer = placed.layer
    return {
        "id": placed.id,
        **({"parent": placed.below[0]} if placed.below else {}),
        "created": _CREATED,
        "diff-digest": layer.archive.digest,
        "diff-size": layer.archive.size_bytes,
        "compressed-diff-digest": layer.archive.digest,
        "compressed-size": layer.archive.size_bytes,
    }


def _image_record(image: Image, image_id: str, top_layer: str, documents: dict[str, bytes]) -> dict[str, object]:
    digests = {name: digest_of(data) for name, data in documents.items()}
    return {
        "id": image_id,
        "digest": digests["manifest"],
        "names": [_full_name(image.name)],
        "layer": top_layer,
        "metadata": "{}",
        "big-data-names": list(documents),
        "big-data-sizes": {name: len(data) for name, data in documents.items()},
        "big-data-digests": digests,
        "created": _CREATED,
    }


def _full_name(name: str) -> str:
    """Return the name with its registry; where none is named, podman takes the image to be of this machine.

    A first part is a registry where it could be a host's name (containers/image, docker/reference).
    """
    first, slash, _ = name.partition("/")
    is_full = slash and (first == "localhost" or "." in first or ":" in first)
    return name if is_full else f"localhost/{name}"


def _file_name(name: str) -> str:
    """Return the name of the file that holds a document of this name."""
    return name if _PLAIN_NAME.fullmatch(name) else f"={base64.b64encode(name.encode()).decode()}"


def _folder(name: str) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type, header.mode, header.mtime = tarfile.DIRTYPE, 0o755, EPOCH
    return header


def _link(name: str, target: str) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type, header.linkname, header.mode, header.mtime = tarfile.SYMTYPE, target, 0o777, EPOCH
    return header


def _add_file(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    header = tarfile.TarInfo(name)
    header.size, header.mode, header.mtime = len(data), 0o644, EPOCH
    archive.addfile(header, BytesIO(data))
