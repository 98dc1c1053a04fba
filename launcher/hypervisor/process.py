"""QEMU as a process of this machine: found by its domain's UUID, and held by a pidfd that no other process can get."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from launcher.errors import HypervisorError


class QEMUProcess(Struct, frozen=True, kw_only=True):
    """A running QEMU: its process id, and a pidfd (pidfd_open(2)) that becomes readable when it ends."""

    pid: int
    pidfd: int


def find_qemu(uuid: str, *, root: Path | None = None, proc: Path = Path("/proc")) -> QEMUProcess:
    """Find the QEMU of the domain with this UUID by `-uuid` on its command line.

    A manifest that names its UUID may be run over several roots of one machine: `root` is the embedded driver's, None
    for any other connection. Raises HypervisorError where there is none, as for a domain on another machine, or where
    several cannot be told apart.
    """
    pids = [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit() and _is_qemu_of(entry, uuid, root)]
    if len(pids) > 1:
        listed = ", ".join(map(str, sorted(pids)))
        raise HypervisorError(f"several processes have -uuid {uuid} (pid {listed}); give each guest its own UUID")
    process = _open(pids[0]) if pids else None
    # Looked at once more, so that a pid used again cannot be mistaken for QEMU.
    if process is None or not _is_qemu_of(proc / str(process.pid), uuid, root):
        raise HypervisorError(f"no process on this machine has -uuid {uuid}: is the domain's QEMU elsewhere?")
    return process


def command_lines(proc: Path = Path("/proc")) -> Iterator[tuple[int, bytes]]:
    """Yield the pid and the command line of each process, its words ended by NUL."""
    for entry in proc.iterdir():
        if entry.name.isdigit():
            yield int(entry.name), _command_line(entry)


def is_below(command: bytes, root: Path) -> bool:
    """Tell whether a command line names libvirt's folder below this root, as that of every QEMU of it does."""
    return os.fsencode(root / "lib" / "qemu") + b"/" in command


def _command_line(entry: Path) -> bytes:
    """Return a process's command line; empty where it has ended."""
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""


def _is_qemu_of(entry: Path, uuid: str, root: Path | None) -> bool:
    command = _command_line(entry)
    words = command.split(b"\0")
    named = any(words[i : i + 2] == [b"-uuid", uuid.encode()] for i in range(len(words)))
    return named and (root is None or is_below(command, root))


def _open(pid: int) -> QEMUProcess | None:
    try:
        return QEMUProcess(pid=pid, pidfd=os.pidfd_open(pid))
    except ProcessLookupError:
        return None
