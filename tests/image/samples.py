"""A small image whose base holds what layers have: folders, links of both kinds, long names, owners, capabilities."""

from __future__ import annotations

import tarfile
from io import BytesIO
from pathlib import Path

from hack.images.layers import Entry, Layer, read_layer, write_layer
from hack.images.oci import Image, image_of

# struct vfs_cap_data (include/uapi/linux/capability.h): revision 2, CAP_SYS_NICE permitted.
CAPABILITY = bytes.fromhex("0000000200008000000000000000000000000000")
CAPABILITY_HEADER = "SCHILY.xattr.security.capability"
LONG_NAME = f"usr/share/{'long-' * 30}name"


def write_base(path: Path) -> Layer:
    """Write a layer as mmdebstrap does, with names that begin with a dot."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in (".", "./usr", "./usr/bin", "./usr/share"):
            _add(archive, name, tarfile.DIRTYPE)
        _add(archive, "./usr/bin/init", data=b"init", capability=CAPABILITY, owner=107)
        _add(archive, "./usr/bin/again", tarfile.LNKTYPE, target="./usr/bin/init")
        _add(archive, "./bin", tarfile.SYMTYPE, target="usr/bin")
        _add(archive, f"./{LONG_NAME}", data=b"long")
    return read_layer(path)


def write_image(folder: Path, name: str = "sample:1") -> Image:
    """Write an image of two layers under this name."""
    base = write_base(folder / "base.tar")
    write_layer(folder / "top.tar", (Entry(path="dev", mode=0o755), Entry(path="program", mode=0o755, data=b"#!")))
    return image_of(name, "amd64", {"User": "107:107"}, (base, read_layer(folder / "top.tar")))


def _add(
    archive: tarfile.TarFile,
    name: str,
    kind: bytes = tarfile.REGTYPE,
    *,
    data: bytes = b"",
    target: str = "",
    capability: bytes = b"",
    owner: int = 0,
) -> None:
    header = tarfile.TarInfo(name)
    header.type, header.linkname, header.size, header.uid, header.mode = kind, target, len(data), owner, 0o755
    if capability:
        header.pax_headers = {CAPABILITY_HEADER: capability.decode("utf-8", "surrogateescape")}
    archive.addfile(header, BytesIO(data))
