"""Files that the guest is given: whether they are there, can be used by this user, and lie where they ought to."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from launcher.errors import ExitStatus, LauncherError
from launcher.files import reason

# What the launcher and libvirt have below the root.
_OWN = frozenset((".", "launcher.lock", "etc", "run", "log", "home", "lib", "cache", "storage"))


class Unusable(LauncherError):
    """A file cannot be used; the message becomes the fault of its volume, or of the disk's field `setting`."""

    exit_status = ExitStatus.INVALID_VMI

    def __init__(self, message: str, *, setting: str | None = None) -> None:
        self.setting = setting
        super().__init__(message)


def check_file(path: str, *, writable: bool) -> bool:
    """Check that this is a file or block device that this user can use; tell whether it is a block device.

    Raises Unusable.
    """
    mode = _mode(path)
    if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
        raise Unusable(f"{path!r} is neither a file nor a block device")
    if not os.access(path, os.R_OK):
        raise Unusable(f"{path!r}: not readable for this user")
    if writable and not os.access(path, os.W_OK):
        raise Unusable(f"{path!r}: not writable for this user; make it so, or the disk readonly")
    return stat.S_ISBLK(mode)


def check_outside(path: str, root: Path) -> None:
    """Check that a file of the manifest's is none of the launcher's own: its logs, its sockets, other guests' images.

    Raises Unusable, of a name of another file, too.
    """
    try:
        folder, real = os.path.realpath(root), os.path.realpath(path)
    except ValueError as error:
        raise Unusable(f"{path!r}: {reason(error)}") from error
    if os.path.commonpath((folder, real)) == folder and os.path.relpath(real, folder).split("/")[0] in _OWN:
        raise Unusable(
            f"{path!r} lies in the launcher's own root, {str(root)!r}, which is no place for a guest's files"
        )


def is_folder(path: str) -> bool:
    """Tell whether there is a folder of this name."""
    return os.path.isdir(path)  # noqa: PTH112 - paths stay text


def is_there(path: str) -> bool:
    """Tell whether there is anything of this name, be it a link that leads nowhere."""
    return os.path.lexists(path)


def resolve_inside(folder: str, name: str) -> str:
    """Follow every symbolic link of this name below the folder; return the path without them.

    Raises Unusable where nothing is there, or where a link leads out of the folder.
    """
    path = os.path.join(folder, name)  # noqa: PTH118 - paths stay text
    try:
        base = os.path.realpath(folder, strict=True)
        real = os.path.realpath(os.path.join(base, name), strict=True)  # noqa: PTH118 - as above
    except (OSError, ValueError) as error:
        raise Unusable(f"{path!r}: {reason(error)}") from error
    if os.path.commonpath((base, real)) != base:
        raise Unusable(f"{path!r} leads out of its folder, to {real!r}")
    return os.path.normpath(os.path.join(folder, os.path.relpath(real, base)))  # noqa: PTH118 - as above


def read_inside(folder: str, name: str, *, at_most_bytes: int) -> bytes:
    """Read the file of this name below the folder, whatever links lead to it inside; raises Unusable."""
    path = resolve_inside(folder, name)
    try:
        # A pipe or a device must not keep the launcher waiting.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Unusable(f"{path!r} is not a file")
            data = file.read(at_most_bytes + 1)
    except OSError as error:
        raise Unusable(f"{path!r}: {reason(error)}") from error
    if len(data) > at_most_bytes:
        raise Unusable(f"{path!r} is larger than {at_most_bytes} bytes")
    return data


def _mode(path: str) -> int:
    try:
        return os.stat(path).st_mode  # noqa: PTH116 - the path may hold anything, errors are wanted as they come
    except (OSError, ValueError) as error:
        raise Unusable(f"{path!r}: {reason(error)}") from error
