"""Discs: ISO 9660 images of a few small files, with Rock Ridge names for Linux and Joliet names for Windows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pycdlib import PyCdlib

# The files of a disc: paths with slashes, sorted, and their bytes.
Files = tuple[tuple[str, bytes], ...]

# What every date on a disc is: the first of January 1980, the first date that every guest's file system has.
_EPOCH_S = 315532800.0


def build_disc(label: str, files: Files) -> bytes:
    """Build the image of a disc; the same label and files give the same bytes.

    Names on it have at most 64 characters (Joliet), the label 16, and folders lie at most 7 deep (ISO 9660).
    """
    # 30 ms that only a guest with a disc pays for.
    from pycdlib import PyCdlib  # noqa: PLC0415

    disc = PyCdlib()
    with _clock_stopped():
        disc.new(interchange_level=3, vol_ident=label, joliet=3, rock_ridge="1.09")
        folders = {"": ("", "")}
        for number, (path, data) in enumerate(files):
            folder, _, name = path.rpartition("/")
            iso_path, joliet_path = _folder(disc, folders, folder)
            disc.add_fp(
                BytesIO(data),
                len(data),
                iso_path=f"{iso_path}/F{number:07}.;1",
                rr_name=name,
                joliet_path=f"{joliet_path}/{name}",
            )
        image = BytesIO()
        disc.write_fp(image)
        disc.close()
    return image.getvalue()


def _folder(disc: PyCdlib, folders: dict[str, tuple[str, str]], path: str) -> tuple[str, str]:
    """Return the ISO and the Joliet path of this folder; make it, and what it lies in, where it is not there yet."""
    if path not in folders:
        above, _, name = path.rpartition("/")
        iso_path, joliet_path = _folder(disc, folders, above)
        folders[path] = f"{iso_path}/D{len(folders):07}", f"{joliet_path}/{name}"
        disc.add_directory(folders[path][0], rr_name=name, joliet_path=folders[path][1])
    return folders[path]


@contextmanager
def _clock_stopped() -> Iterator[None]:
    """Let pycdlib see a clock that stands still, in Greenwich: it dates everything by itself and takes no date."""
    from pycdlib import dates, headervd, pycdlib  # noqa: PLC0415 - as above

    clock = SimpleNamespace(time=lambda: _EPOCH_S, localtime=time.gmtime, gmtime=time.gmtime, strftime=time.strftime)
    modules = (dates, headervd, pycdlib)
    before = [vars(module)["time"] for module in modules]
    try:
        for module in modules:
            vars(module)["time"] = clock
        yield
    finally:
        for module, own in zip(modules, before, strict=True):
            vars(module)["time"] = own
