"""The root's folders: this user's own, or not used."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from launcher.errors import HypervisorError

# Where the launcher and libvirt write, and what nobody else may lay anything into.
_OWN_FOLDERS = ("etc", "run", "log", "home")
_LIBVIRTS_FOLDERS = ("lib", "cache", "storage", "run/qemu", "log/qemu", "cache/qemu", "lib/qemu")
_CURE = "give the launcher a --root of its own"


def open_root(root: Path) -> int:
    """Make the root and its folders where they are missing; return a descriptor of the root, which no link leads away.

    Raises HypervisorError where the root, one of its folders or something in them belongs to somebody else, can be
    written by others, or is a link; OSError where it cannot be made.
    """
    # libvirt makes folders as the umask has them.
    os.umask(os.umask(0) | 0o022)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(root, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        _check_root(root, status)
        is_private = not status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        for name in _OWN_FOLDERS:
            _make(root / name)
        for name in (*_OWN_FOLDERS, *_LIBVIRTS_FOLDERS):
            _check_folder(root / name, is_private=is_private)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _make(folder: Path) -> None:
    if not folder.is_symlink():
        folder.mkdir(mode=0o700, exist_ok=True)


def _check_root(root: Path, status: os.stat_result) -> None:
    """A Pod's emptyDir belongs to root and everybody may write it: as a mount of its own it is the container's alone.

    In a sticky folder nobody can put anything in the place of what is another's.
    """
    if status.st_uid == 0 and (status.st_mode & stat.S_ISVTX or _is_mount(root)):
        return
    _check_owner(root, status)
    _check_mode(root, status)


def _check_folder(folder: Path, *, is_private: bool) -> None:
    """Check a folder of the root; `is_private` tells that nobody else comes there anyway."""
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(status.st_mode):
        raise HypervisorError(f"{folder} is a link; {_CURE}")
    if not stat.S_ISDIR(status.st_mode):
        raise HypervisorError(f"{folder} is no folder; {_CURE}")
    if folder.name == "cache" and _is_mount(folder):
        return
    _check_owner(folder, status)
    if not is_private:
        _check_mode(folder, status)
    for entry in os.scandir(folder):
        if entry.is_symlink():
            raise HypervisorError(f"{entry.path} is a link; {_CURE}")


def _is_mount(folder: Path) -> bool:
    """Tell whether something is mounted here, of the file system around it too, as the kubelet's emptyDirs are.

    Those have the same device (st_dev), so that the kernel has to be asked for the mount (proc_pid_fdinfo(5)).
    """
    return _mount_of(folder) != _mount_of(folder.parent)


def _mount_of(folder: Path) -> str:
    descriptor = os.open(folder, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
    finally:
        os.close(descriptor)
    return next(line for line in lines if line.startswith("mnt_id:"))


def _check_owner(folder: Path, status: os.stat_result) -> None:
    user = os.geteuid()
    if status.st_uid != user:
        raise HypervisorError(f"{folder} belongs to user {status.st_uid}, and this is user {user}; {_CURE}")


def _check_mode(folder: Path, status: os.stat_result) -> None:
    # The group of a user of its own (as Debian's adduser has it) is nobody else.
    others = stat.S_IWOTH | (0 if status.st_gid == os.geteuid() else stat.S_IWGRP)
    if status.st_mode & others:
        mode = stat.S_IMODE(status.st_mode)
        raise HypervisorError(f"{folder} can be written by others (mode {mode:04o}); {_CURE}, or chmod go-w")
