"""Layers: the same bytes from the same content, whenever and from wherever they are made."""

from __future__ import annotations

import gzip
import os
import tarfile
from pathlib import Path

from hack.images.layers import EPOCH, Entry, folder_entries, read_layer, write_layer


def make_folder(folder: Path, names: tuple[str, ...], *, time_s: int) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        path.chmod(0o700 if name.endswith(".so") else 0o600)
        os.utime(path, (time_s, time_s))
    return folder


def test_a_layer_depends_neither_on_times_nor_on_the_order_of_making(tmp_path: Path) -> None:
    names = ("b/two.so", "a/one.py", "three")
    for name, order, time_s in (("first", names, 1), ("second", names[::-1], 2_000_000_000)):
        folder = make_folder(tmp_path / name, order, time_s=time_s)
        write_layer(tmp_path / f"{name}.tar", folder_entries(folder, "usr/site"))
    first, second = (read_layer(tmp_path / f"{name}.tar") for name in ("first", "second"))
    assert first.archive.sha256 == second.archive.sha256
    assert first.compressed.sha256 == second.compressed.sha256


def test_files_are_roots_readable_to_all_and_from_one_moment(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "site", ("a/one.py", "b/two.so"), time_s=7)
    write_layer(tmp_path / "layer.tar", folder_entries(folder, "usr/site"))
    with tarfile.open(tmp_path / "layer.tar") as archive:
        found = [(member.name, member.mode, member.uid, member.gid, member.mtime) for member in archive]
    assert found == [
        ("usr/site/a", 0o755, 0, 0, EPOCH),
        ("usr/site/a/one.py", 0o644, 0, 0, EPOCH),
        ("usr/site/b", 0o755, 0, 0, EPOCH),
        ("usr/site/b/two.so", 0o755, 0, 0, EPOCH),
    ]


def test_an_archive_is_compressed_again_only_when_it_was_made_anew(tmp_path: Path) -> None:
    archive, compressed = tmp_path / "layer.tar", tmp_path / "layer.tar.gz"
    write_layer(archive, (Entry(path="one", mode=0o755),))
    before = read_layer(archive).compressed
    os.utime(compressed, ns=(compressed.stat().st_atime_ns, archive.stat().st_mtime_ns + 1))
    made_ns = compressed.stat().st_mtime_ns
    assert read_layer(archive).compressed == before
    assert compressed.stat().st_mtime_ns == made_ns
    write_layer(archive, (Entry(path="two", mode=0o755),))
    os.utime(archive, ns=(made_ns, made_ns + 1))
    assert read_layer(archive).compressed.sha256 != before.sha256
    assert gzip.decompress(compressed.read_bytes()) == archive.read_bytes()
