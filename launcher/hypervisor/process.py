"""QEMU as a process of this machine: found by its domain's UUID, and held by a pidfd that no other process can get."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from launcher.errors import HypervisorError


class QEMUProcess(Struct, frozen=True, kw_only=True):
    """A running QEMU: its process id, and a pidfd (pidfd_open(2)) that becomes readable when it ends."""

    pid: int
    pidfd: int


def find_qemu(uuid: str, proc: Path = Path("/proc")) -> QEMUProcess:
    """Find the QEMU of the domain with this UUID by `-uuid` on its command line.

    The pid is looked at once more after the pidfd is open, so that a pid used again cannot be mistaken for QEMU.
    Raises HypervisorError where there is none, as for a domain on another machine.
    """
    for entry in proc.iterdir():
        if entry.name.isdigit() and _is_qemu_of(entry, uuid):
            process = _open(int(entry.name))
            if process is not None and _is_qemu_of(entry, uuid):
                return process
    raise HypervisorError(f"no process on this machine has -uuid {uuid}: is the domain's QEMU elsewhere?")


def _is_qemu_of(entry: Path, uuid: str) -> bool:
    try:
        words = (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(words[i : i + 2] == [b"-uuid", uuid.encode()] for i in range(len(words)))


def _open(pid: int) -> QEMUProcess | None:
    try:
        return QEMUProcess(pid=pid, pidfd=os.pidfd_open(pid))
    except ProcessLookupError:
        return None
