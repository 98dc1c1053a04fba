"""A cache of QEMU's capabilities that several launchers share: taken from with care, and never written."""

from __future__ import annotations

import logging
import os
import re
import stat
from pathlib import Path

_log = logging.getLogger(__name__)

# Where libvirt keeps what it has learnt of each QEMU, below the folder of its caches.
PLACE = Path("qemu", "capabilities")
# libvirt names a file for the emulator's path (virFileCacheGetFileName), and writes some 200 KiB.
_NAME = re.compile(r"[0-9a-f]{64}\.xml", re.ASCII)
_MOST_BYTES = 4 << 20
_MOST_FILES = 16
_EMULATOR = re.compile(rb"\A<qemuCaps>\s*<emulator>([^<&]{1,4096})</emulator>")
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _Refused(Exception):
    """A file or folder is not what it should be; says why."""


def take_from(shared: Path, cache: Path) -> None:
    """Copy what libvirt has learnt of QEMU elsewhere into a launcher's own cache, as far as it is not there.

    Whoever may write to the folder could take QEMU's sandbox away: what belongs to neither root nor this user, what
    others may write, and what is no plain file of the emulator that its name says is passed over, with a line that says
    so. libvirt itself looks whether a file is of this very QEMU. What cannot be had costs a cold start and no more.
    """
    try:
        folder = _open_folder(shared)
    except (OSError, _Refused) as error:
        _log.warning("cache: %s is not used: %s", shared, _reason(error))
        return
    try:
        for name in sorted(filter(_NAME.fullmatch, os.listdir(folder)))[:_MOST_FILES]:  # noqa: PTH208 - a descriptor
            _take(folder, name, shared, cache)
    finally:
        os.close(folder)


def _open_folder(shared: Path) -> int:
    """Open the folder of the files, step by step: none of them may be a link or somebody else's."""
    folder = os.open(shared, os.O_DIRECTORY | os.O_CLOEXEC)
    for name in ("", *PLACE.parts):
        try:
            inner = os.open(name, os.O_DIRECTORY | _FLAGS, dir_fd=folder) if name else os.dup(folder)
        finally:
            os.close(folder)
        folder = inner
        try:
            _check_owner(os.fstat(folder))
        except _Refused:
            os.close(folder)
            raise
    return folder


def _check_owner(status: os.stat_result) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise _Refused(f"it belongs to user {status.st_uid}")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _Refused(f"others may write it (mode {stat.S_IMODE(status.st_mode):04o})")


def _take(folder: int, name: str, shared: Path, cache: Path) -> None:
    own = cache / PLACE / name
    if own.exists():
        return
    try:
        data = _read(folder, name)
        own.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(own, data)
    except (OSError, _Refused) as error:
        _log.warning("cache: %s is not used: %s", shared / PLACE / name, _reason(error))


def _read(folder: int, name: str) -> bytes:
    descriptor = os.open(name, _FLAGS, dir_fd=folder)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _Refused("it is no plain file")
        if status.st_nlink != 1:
            raise _Refused(f"it has {status.st_nlink} names")
        _check_owner(status)
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise _Refused(f"it is larger than {_MOST_BYTES >> 20} MiB")
    found = _EMULATOR.match(data)
    import hashlib  # noqa: PLC0415 - with OpenSSL, some MiB for as long as the guest runs; only a shared cache needs it

    if found is None or f"{hashlib.sha256(found[1]).hexdigest()}.xml" != name:
        raise _Refused("it does not say what libvirt knows of the emulator that it is named for")
    return data


def _write(path: Path, data: bytes) -> None:
    partial = path.with_suffix(".new")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(data)
    partial.replace(path)


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
