"""Files that are handed to QEMU open: what was checked is what it reads, whatever its name leads to by then.

Between a check by name and QEMU's own open a name may be exchanged for a link that leads out of its folder. So the file
is opened once, the kernel is asked where it lies, and QEMU is given the descriptor: an image by libvirt's passing of
descriptors (virDomainFDAssociate), a kernel by the name that it has in the process that opened it (/proc/<pid>/fd).
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from posixpath import join

from msgspec import Struct
from msgspec.structs import replace

from launcher.errors import HypervisorError
from launcher.storage.files import Unusable
from launcher.storage.layout import Mounts
from launcher.storage.model import BackingImage, DiskImage
from launcher.storage.qcow2 import HEADER_BYTES, check_header, virtual_size
from launcher.vmi.guest import Disk, DiskDevice, Guest, ImageFormat
from launcher.vmi.guest_storage import CacheMode, Claim, ContainerDisk, Ephemeral


class Handed(Struct, frozen=True, kw_only=True):
    """A file to be handed over under libvirt's name for it, or under its descriptor's.

    `folders` are those that it must lie in, one of them, wherever its name leads; none for a path that a person named.
    `direct` is past the host's cache: since 9.1 QEMU takes no descriptor that is not as it wants to read in this, too
    (monitor/fds.c, "match against O_DIRECT"); before, it makes it so itself.
    """

    path: str
    group: str = ""
    writable: bool = False
    direct: bool = False
    is_qcow2: bool = False
    folders: tuple[str, ...] = ()


def hand_images(
    guest: Guest, images: tuple[DiskImage, ...], mounts: Mounts, own: str
) -> tuple[tuple[DiskImage, ...], tuple[Handed, ...]]:
    """Return the images with libvirt's names for their files, and the files; what lies in `own` nobody exchanges."""
    named, handed = [], []
    for disk, image in zip(guest.filled_disks, images, strict=True):
        folders, direct = folders_of(disk, mounts), image.cache is CacheMode.NONE
        if not image.is_block and not image.path.startswith(f"{own}/"):
            writable = not disk.readonly and disk.device is not DiskDevice.CDROM
            is_qcow2 = image.format is ImageFormat.QCOW2
            name = f"image-{disk.name}"
            file = Handed(path=image.path, group=name, writable=writable, is_qcow2=is_qcow2, folders=folders)
            handed.append(replace(file, direct=direct))
            image = replace(image, group=handed[-1].group)  # noqa: PLW2901 - the same image, with a name
        if image.backing is not None and not image.backing.is_block:
            is_qcow2, name = image.backing.format is ImageFormat.QCOW2, f"below-{disk.name}"
            file = Handed(path=image.backing.path, group=name, is_qcow2=is_qcow2, folders=folders)
            handed.append(replace(file, direct=direct))
            image = replace(image, backing=replace(image.backing, group=handed[-1].group))  # noqa: PLW2901 - likewise
        named.append(image)
    return tuple(named), tuple(handed)


def folders_of(disk: Disk, mounts: Mounts) -> tuple[str, ...]:
    """Return the folders that the disk's image must lie in, one of them; none for a path that a person named."""
    match disk.volume:
        case Claim() | Ephemeral():
            return (join(mounts.claims, disk.name),)
        case ContainerDisk(index=index):
            return mounts.container_disks, join(mounts.image_volumes, f"disk_{index}")
        case _:
            return ()


def hand_kernel(guest: Guest, mounts: Mounts, *, is_image: bool) -> Guest:
    """Return the guest with its kernel's files under the names that they have in this process, open from now on.

    QEMU may open them as long as this process lives, is of QEMU's user, and has no capability that QEMU has not
    (ptrace(2), "Ptrace access mode checking"). Raises HypervisorError where a file is another by now.
    """
    boot = guest.kernel_boot
    if boot is None:
        return guest
    folders = (mounts.kernel_boot,) if is_image else ()

    def handed(path: str) -> str:
        return f"/proc/{os.getpid()}/fd/{_checked(Handed(path=path, folders=folders))}"

    initrd = boot.initrd and handed(boot.initrd)
    return replace(guest, kernel_boot=replace(boot, kernel=handed(boot.kernel), initrd=initrd))


@contextmanager
def opened(files: tuple[Handed, ...]) -> Iterator[tuple[tuple[str, int], ...]]:
    """Open the files until the end of the context; yield libvirt's names for them and their descriptors.

    Raises HypervisorError where a file is another by now than may be used.
    """
    with ExitStack() as stack:
        groups = []
        for file in files:
            descriptor = _checked(file)
            stack.callback(_close, descriptor)
            groups.append((file.group, descriptor))
        yield tuple(groups)


def _checked(file: Handed) -> int:
    try:
        return _open(file)
    except (OSError, Unusable) as error:
        words = error.strerror if isinstance(error, OSError) else error
        raise HypervisorError(f"{file.path!r} was exchanged since it was checked: {words}") from error


def _open(file: Handed) -> int:
    """Open the file by its name, ask the kernel where it lies, and only then open it for what it is for."""
    place = os.open(file.path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(place).st_mode):
            raise Unusable("it is no file")
        real = os.readlink(f"/proc/self/fd/{place}")  # noqa: PTH115 - paths stay text
        if file.folders and not any(_is_below(real, folder) for folder in file.folders):
            raise Unusable(f"it leads to {real!r}, out of its folder")
        descriptor = os.open(f"/proc/self/fd/{place}", (os.O_RDWR if file.writable else os.O_RDONLY) | os.O_CLOEXEC)
    finally:
        os.close(place)
    try:
        if file.is_qcow2:
            check_header(os.pread(descriptor, HEADER_BYTES, 0), file.path)
        if file.direct:
            # Not sooner: past the cache only whole blocks are read.
            fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_DIRECT)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def measure(image: BackingImage, folders: tuple[str, ...]) -> int:
    """Return the size of the disk that the image holds, in bytes; raises HypervisorError where it is another by now."""
    if image.is_block:
        descriptor = os.open(image.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    else:
        is_qcow2 = image.format is ImageFormat.QCOW2
        descriptor = _checked(Handed(path=image.path, folders=folders, is_qcow2=is_qcow2))
    try:
        return virtual_size(descriptor, image.format)
    finally:
        os.close(descriptor)


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(f"{os.path.realpath(folder)}/")


def _close(descriptor: int) -> None:
    with suppress(OSError):
        os.close(descriptor)
