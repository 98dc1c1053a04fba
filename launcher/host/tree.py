"""The narrow window through which a host is read: the folder `/` of this machine, or a capture of another one."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.errors import HostError

# The longest file that is read is /proc/self/mountinfo: some 300 bytes a mount, and a busy node has thousands of them.
MAX_FILE_BYTES = 4 << 20
_CHUNK_BYTES = 1 << 16

# A file that is not there; ENODEV is the answer of sysfs when the device goes between open and read.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENODEV)

_DIGITS = re.compile(r"(\d+)", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)


class Tree(Protocol):
    """The files of a host; every path is relative to `/` and has no leading slash."""

    def read(self, path: str) -> str | None:
        """Return the file's text, None where there is no such file; raises HostError where it cannot be read."""

    def list(self, path: str) -> tuple[str, ...]:
        """Return the names in a folder in natural order, none where there is no such folder."""

    def where(self, path: str) -> str:
        """Name a file for a person, in errors and warnings."""


class FolderTree(Struct, frozen=True):
    """The files below a folder: `/` for this machine."""

    root: Path

    def read(self, path: str) -> str | None:
        """Return the file's text; bytes that are not UTF-8 become surrogates, as in the file names of `os`."""
        try:
            content = _read_bytes(f"{self.root}/{path}")
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise HostError(f"{self.where(path)}: cannot be read: {error.strerror}") from error
        if len(content) > MAX_FILE_BYTES:
            raise HostError(f"{self.where(path)}: is longer than {MAX_FILE_BYTES} bytes, which no file of its kind is")
        return os.fsdecode(content)

    def list(self, path: str) -> tuple[str, ...]:
        """Return the names in a folder, in natural order."""
        try:
            names = os.listdir(f"{self.root}/{path}")  # noqa: PTH208 - pathlib costs more than the call itself
        except OSError as error:
            if error.errno in _ABSENT:
                return ()
            raise HostError(f"{self.where(path)}: cannot be listed: {error.strerror}") from error
        return tuple(sorted(names, key=natural_key))

    def open(self, path: str) -> int:
        """Open a file that is to be read again and again, and return its descriptor; raises OSError."""
        return _open(f"{self.root}/{path}")

    def where(self, path: str) -> str:
        """Name the file by its whole path."""
        return f"{str(self.root).rstrip('/')}/{path}"


def natural_key(path: str) -> tuple[tuple[tuple[tuple[int, str], ...], ...], str]:
    """Return the key that sorts paths segment by segment, with numbers by value: cpu2 before cpu10."""
    return tuple(tuple(map(_part_key, _DIGITS.split(segment))) for segment in path.split("/")), path


def read_cpus(tree: Tree, path: str) -> CPUSet | None:
    """Read a file that holds a cpulist (or a list of node numbers, which looks the same); None where it is absent.

    Raises HostError that names the file, quotes what it holds and says what was wanted.
    """
    text = tree.read(path)
    if text is None:
        return None
    try:
        return CPUSet.parse(text)
    except ValueError as error:
        raise HostError(f"{tree.where(path)}: {error}") from error


def read_integer(tree: Tree, path: str) -> int | None:
    """Read a file that holds one integer; None where it is absent. Raises HostError for anything else."""
    text = tree.read(path)
    return None if text is None else parse_integer(tree, path, text)


def parse_integer(tree: Tree, path: str, text: str) -> int:
    """Return the integer that `text`, a part of this file, stands for; raises HostError that quotes it."""
    stripped = text.strip()
    if not _INTEGER.fullmatch(stripped):
        raise HostError(f"{tree.where(path)}: {stripped[:40]!r} is not an integer")
    return int(stripped)


def lines(text: str) -> tuple[str, ...]:
    """Split a file of the kernel into lines, at newlines only: names may hold what str.splitlines also splits at."""
    return tuple(line for line in text.split("\n") if line)


def _open(path: str) -> int:
    # O_NONBLOCK: a pipe in a folder that is not really a host must not hang the reader.
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


def _read_bytes(path: str) -> bytes:
    descriptor = _open(path)
    try:
        content = chunk = os.read(descriptor, _CHUNK_BYTES)
        while chunk and len(content) <= MAX_FILE_BYTES:
            chunk = os.read(descriptor, _CHUNK_BYTES)
            content += chunk
        return content
    finally:
        os.close(descriptor)


def _part_key(part: str) -> tuple[int, str]:
    # A number by its length, then its digits: no conversion, which Python refuses beyond 4300 digits.
    digits = part.lstrip("0")
    return (len(digits), digits) if part.isdecimal() else (0, part)
