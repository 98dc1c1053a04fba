"""The image as the standards have it: configuration, manifest, and an archive that podman, docker and containerd load.

OCI image-spec (config.md, manifest.md, image-layout.md); docker's own `manifest.json` is added for older readers.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from hack.images.containerfile import Settings
from hack.images.layers import EPOCH, Blob, Layer

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_CREATED = "1980-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image: its name with tag, its layers from the lowest on, its configuration as bytes."""

    name: str
    layers: tuple[Layer, ...]
    config: bytes

    @property
    def manifest(self) -> bytes:
        """The manifest over compressed layers, as a registry has it."""
        layers = [_descriptor(f"{LAYER_TYPE}+gzip", layer.compressed) for layer in self.layers]
        return manifest_of(self.config, layers)


def image_of(name: str, architecture: str, settings: Settings, layers: Sequence[Layer]) -> Image:
    """Return the image of these layers; the same bytes for the same layers and settings."""
    config = {
        "created": _CREATED,
        "architecture": architecture,
        "os": "linux",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [layer.archive.digest for layer in layers]},
        "history": [{"created": _CREATED, "created_by": f"ADD {layer.archive.path.name} /"} for layer in layers],
    }
    return Image(name=name, layers=tuple(layers), config=to_json(config))


def manifest_of(config: bytes, layers: list[dict[str, object]]) -> bytes:
    """Return a manifest of this configuration and these layers' descriptors."""
    described = {"mediaType": CONFIG_TYPE, "digest": digest_of(config), "size": len(config)}
    return to_json({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": described, "layers": layers})


def plain_descriptor(layer: Layer) -> dict[str, object]:
    """Return the descriptor of a layer that is not compressed, as a node has it that unpacked it."""
    return _descriptor(LAYER_TYPE, layer.archive)


def _descriptor(media_type: str, blob: Blob) -> dict[str, object]:
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size_bytes}


def digest_of(data: bytes) -> str:
    """Return the name that the content has in manifests."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def to_json(value: object) -> bytes:
    """Write JSON so that equal values are equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def write_archive(image: Image, path: Path) -> None:
    """Write the image as one file, an OCI layout in a tar archive."""
    partial = path.with_suffix(".part")
    with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in _documents(image).items():
            archive.addfile(_header(name, len(data)), BytesIO(data))
        for layer in image.layers:
            with layer.compressed.path.open("rb") as file:
                archive.addfile(_header(_blob_path(layer.compressed.digest), layer.compressed.size_bytes), file)
    partial.replace(path)


def _documents(image: Image) -> dict[str, bytes]:
    """Return the small files of the layout by their paths."""
    return {
        "oci-layout": to_json({"imageLayoutVersion": "1.0.0"}),
        "index.json": to_json(_index(image)),
        "manifest.json": to_json(_docker_manifest(image)),
        _blob_path(digest_of(image.manifest)): image.manifest,
        _blob_path(digest_of(image.config)): image.config,
    }


def _index(image: Image) -> dict[str, object]:
    manifest = {
        "mediaType": MANIFEST_TYPE,
        "digest": digest_of(image.manifest),
        "size": len(image.manifest),
        # The second is containerd's, which knows only tags by the first (images/archive, "io.containerd.image.name").
        "annotations": {"org.opencontainers.image.ref.name": image.name, "io.containerd.image.name": image.name},
    }
    return {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [manifest]}


def _docker_manifest(image: Image) -> list[dict[str, object]]:
    layers = [_blob_path(layer.compressed.digest) for layer in image.layers]
    return [{"Config": _blob_path(digest_of(image.config)), "RepoTags": [image.name], "Layers": layers}]


def _blob_path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mtime, header.mode = size, EPOCH, 0o644
    return header
