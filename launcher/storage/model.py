"""Where the bytes of a disk are, as values that the domain's renderer reads.

They are msgspec structures, as those of launcher/vmi are: quick to define.
"""

from __future__ import annotations

from msgspec import Struct

from launcher.vmi.guest import ImageFormat
from launcher.vmi.guest_storage import BlockSize, CacheMode, IOMode


class BackingImage(Struct, frozen=True, kw_only=True):
    """The image below a layer; it is only read, and has no image below it. `group` as in DiskImage."""

    path: str
    format: ImageFormat
    is_block: bool = False
    group: str = ""


class DiskImage(Struct, frozen=True, kw_only=True):
    """The image of one disk of the guest, by the disk's name, and how it is to be opened.

    `io` None leaves it to QEMU; `block_size` None to the guest's device. `group` is libvirt's name for the descriptor
    that QEMU is handed in place of the path (fdgroup); empty where it opens the path itself.
    """

    disk: str
    path: str
    format: ImageFormat = ImageFormat.RAW
    is_block: bool = False
    backing: BackingImage | None = None
    cache: CacheMode = CacheMode.NONE
    io: IOMode | None = None
    block_size: BlockSize | None = None
    group: str = ""
