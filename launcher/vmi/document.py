"""Reads a manifest's bytes, bounded in size and time, from a file of any kind or from standard input."""

from __future__ import annotations

import os
import select
import stat
import time

from launcher.errors import Fault, InvalidVMI
from launcher.vmi.fieldpath import show
from launcher.vmi.manifest import Document

# Issue 2's number: more than any VMI needs, less than etcd takes (1.5 MiB).
MAX_BYTES = 1024 * 1024
# How long a named pipe may take; the writer of a process substitution starts together with this program.
PIPE_TIMEOUT_S = 10.0


def read_document(path: str) -> Document:
    """Read the manifest in this file, or on standard input for "-".

    Raises InvalidVMI where it cannot be read, is larger than MAX_BYTES, or is not one YAML mapping.
    """
    if path == "-":
        return parse_document("standard input", _drain(0, "standard input", timeout_s=None))
    return parse_document(path, _read_file(path))


def parse_document(source: str, data: bytes) -> Document:
    """Read one YAML (or JSON) mapping from these bytes; raises InvalidVMI, with the line where there is one."""
    # PyYAML takes 15 ms to import; a file that cannot be read is refused without it.
    from launcher.vmi.yamltree import read_trees  # noqa: PLC0415

    try:
        trees = read_trees(_text(data))
    except ValueError as error:
        raise _invalid(source, str(error)) from error
    if not trees:
        raise _invalid(source, "is empty; wanted a VirtualMachineInstance")
    if len(trees) > 1:
        raise _invalid(source, f"line {trees[1].line}: a second document; wanted one VirtualMachineInstance")
    if not isinstance(root := trees[0].value, dict):
        raise _invalid(source, f"line {trees[0].line}: {show(root)} is not a mapping; wanted a VirtualMachineInstance")
    return Document(source=source, root=root)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}: byte {data[error.start]:#04x} is not UTF-8 text") from error


def _invalid(source: str, message: str) -> InvalidVMI:
    return InvalidVMI(source, [Fault("", message)])


def _read_file(path: str) -> bytes:
    """Read a file of any kind, without waiting for somebody to open the other end of a named pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    try:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise _invalid(path, "is a directory; wanted a manifest")
        return _drain(descriptor, path, timeout_s=PIPE_TIMEOUT_S)
    finally:
        os.close(descriptor)


def _unreadable(source: str, error: OSError | ValueError) -> InvalidVMI:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return _invalid(source, f"cannot be read: {reason}")


def _drain(descriptor: int, source: str, *, timeout_s: float | None) -> bytes:
    """Read to the end, at most MAX_BYTES; with no timeout wait as long as the person at standard input takes."""
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    data = b""
    while len(data) <= MAX_BYTES:
        try:
            chunk = _next_chunk(descriptor, MAX_BYTES + 1 - len(data), deadline_s)
        except TimeoutError as error:
            raise _invalid(source, f"cannot be read: it did not end within {timeout_s} s") from error
        except OSError as error:
            raise _unreadable(source, error) from error
        if not chunk:
            return data
        data += chunk
    raise _invalid(source, f"is larger than {MAX_BYTES // 1024} KiB")


def _next_chunk(descriptor: int, size: int, deadline_s: float | None) -> bytes:
    remaining_s = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
    if not select.select([descriptor], [], [], remaining_s)[0]:
        raise TimeoutError
    return os.read(descriptor, size)
