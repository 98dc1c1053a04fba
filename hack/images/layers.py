"""Layers: tar archives that are the same whoever makes them, when and where."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

# The time of every file in the image: 1 January 1980, the first that all archive formats can tell.
EPOCH = 315532800
_CHUNK_BYTES = 1 << 20
# More costs seconds and saves a percent.
_COMPRESSION = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A file and its SHA-256, by which images name their parts."""

    path: Path
    sha256: str

    @property
    def digest(self) -> str:
        """The name of the blob in manifests."""
        return f"sha256:{self.sha256}"

    @property
    def size_bytes(self) -> int:
        """The length of the file."""
        return self.path.stat().st_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer as a tar archive and compressed: an image's configuration names the first, its manifest the second."""

    archive: Blob
    compressed: Blob


def read_blob(path: Path) -> Blob:
    """Return the file with its digest."""
    with path.open("rb") as file:
        return Blob(path=path, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def read_layer(archive: Path) -> Layer:
    """Return the layer of a tar archive; compresses it beside itself where that was not done since it was made."""
    compressed = archive.with_name(f"{archive.name}.gz")
    if not compressed.exists() or compressed.stat().st_mtime_ns < archive.stat().st_mtime_ns:
        _compress(archive, compressed)
    return Layer(archive=read_blob(archive), compressed=read_blob(compressed))


def _compress(archive: Path, compressed: Path) -> None:
    partial = compressed.with_suffix(".part")
    with (
        archive.open("rb") as plain,
        partial.open("wb") as file,
        gzip.GzipFile("", "wb", _COMPRESSION, file, mtime=0) as packed,
    ):
        shutil.copyfileobj(plain, packed, _CHUNK_BYTES)
    partial.replace(compressed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file or folder of root's in a layer."""

    path: str
    mode: int
    data: bytes | None = None


def folder_entries(folder: Path, target: str) -> Iterable[Entry]:
    """Yield all that is in a folder, links not among it, as entries below `target`, in order."""
    for path in sorted(folder.rglob("*")):
        name = f"{target}/{path.relative_to(folder).as_posix()}"
        if path.is_dir():
            yield Entry(path=name, mode=0o755)
        else:
            yield Entry(path=name, mode=0o755 if path.stat().st_mode & 0o100 else 0o644, data=path.read_bytes())


def write_layer(path: Path, entries: Iterable[Entry]) -> None:
    """Write a tar archive of these entries, in their order; an archive that is there is whole."""
    partial = path.with_suffix(".part")
    with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            archive.addfile(_header(entry), None if entry.data is None else BytesIO(entry.data))
    partial.replace(path)


def _header(entry: Entry) -> tarfile.TarInfo:
    header = tarfile.TarInfo(entry.path)
    header.mode, header.mtime = entry.mode, EPOCH
    header.type = tarfile.DIRTYPE if entry.data is None else tarfile.REGTYPE
    header.size = len(entry.data or b"")
    return header
