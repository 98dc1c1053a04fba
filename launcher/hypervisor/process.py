"""QEMU as a process of this machine: found by its domain's UUID, and held by a pidfd that no other process can get."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from launcher.errors import HypervisorError


class QEMUProcess(Struct, frozen=True, kw_only=True):
    """A running QEMU: its process id, and a pidfd (pidfd_open(2)) that becomes readable when it ends."""

    pid: int
    pidfd: int


# The users whom a daemon of libvirt's has QEMU run as, where it is not root: Debian's, and others'.
_DAEMONS_USERS = ("libvirt-qemu", "qemu")


def find_qemu(
    uuid: str,
    *,
    root: Path | None = None,
    uri: str | None = None,
    sockets: Path | None = None,
    proc: Path = Path("/proc"),
) -> QEMUProcess:
    """Find the QEMU of the domain with this UUID by `-uuid` on its command line, and by whose process it is.

    Anybody may give a process any command line: only this user's count for the embedded driver, and for others those
    of the users whom libvirt has QEMU run as, too, and of the daemon's own, to whom the socket in `uri` belongs. A
    manifest that names its UUID may be run over several roots of one machine: `root` is the embedded driver's, None for
    any other connection; then the guest's sockets, in the folder `sockets`, tell it from others. Raises HypervisorError
    where there is none, as for a domain on another machine, or where several cannot be told apart.
    """
    pids = [pid for pid, command in command_lines(proc, _owners(root, uri)) if _is_qemu_of(command, uuid, root)]
    if len(pids) > 1 and root is not None:
        pids = _in_own_mounts(pids, proc)
    if len(pids) > 1 and sockets is not None:
        pids = _with_sockets_below(pids, sockets, proc)
    if len(pids) > 1:
        listed = ", ".join(map(str, sorted(pids)))
        raise HypervisorError(f"several processes have -uuid {uuid} (pid {listed}); give each guest its own UUID")
    process = _open(pids[0]) if pids else None
    # Looked at once more, so that a pid used again cannot be mistaken for QEMU.
    if process is None or not _is_qemu_of(_command_line(proc / str(process.pid)), uuid, root):
        raise HypervisorError(f"no process on this machine has -uuid {uuid}: is the domain's QEMU elsewhere?")
    return process


def command_lines(proc: Path = Path("/proc"), owners: frozenset[int] | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield the pid and the command line of each process of these users, this one by default; words end in NUL."""
    owners = own_user() if owners is None else owners
    for entry in proc.iterdir():
        if entry.name.isdigit() and (command := _command_line(entry)) and _user_of(entry) in owners:
            yield int(entry.name), command


def own_user() -> frozenset[int]:
    """Return this process's user."""
    return frozenset((os.geteuid(),))


def daemons_users() -> frozenset[int]:
    """Return the users as whom libvirt, its daemons among them, may have started a QEMU."""
    found = set()
    for name in _DAEMONS_USERS:
        with suppress(KeyError):
            found.add(pwd.getpwnam(name).pw_uid)
    return own_user() | {0} | found


def _owners(root: Path | None, uri: str | None) -> frozenset[int]:
    return own_user() if root is not None else daemons_users() | _user_behind(uri)


def _user_behind(uri: str | None) -> frozenset[int]:
    """Return the user of the daemon behind a URI that names its socket: a session daemon's QEMU is that user's."""
    if uri is None or "socket=" not in uri:
        return frozenset()
    from urllib.parse import parse_qs, urlsplit  # noqa: PLC0415 - few connections have one

    with suppress(OSError, ValueError, KeyError):
        return frozenset({Path(parse_qs(urlsplit(uri).query)["socket"][0]).stat().st_uid})
    return frozenset()


def _user_of(entry: Path) -> int | None:
    """Return the effective user of a process; the owner of its files is root for any that may not be looked into."""
    with suppress(OSError, ValueError, IndexError):
        for line in (entry / "status").read_bytes().splitlines():
            if line.startswith(b"Uid:"):
                return int(line.split()[2])
    return None


def is_below(command: bytes, root: Path) -> bool:
    """Tell whether a command line names libvirt's folder below this root, as that of every QEMU of it does."""
    return os.fsencode(root / "lib" / "qemu") + b"/" in command


def _command_line(entry: Path) -> bytes:
    """Return a process's command line; empty where it has ended."""
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""


def _is_qemu_of(command: bytes, uuid: str, root: Path | None) -> bool:
    words = command.split(b"\0")
    named = any(words[i : i + 2] == [b"-uuid", uuid.encode()] for i in range(len(words)))
    return named and (root is None or is_below(command, root))


def _in_own_mounts(pids: list[int], proc: Path) -> list[int]:
    """Return those that see the same mounts as this process, or all where none is known to: a root is a path in them.

    Containers that share their processes have the same root each, and guests of one name the same UUID.
    """
    own = _mounts_of(proc / "self")
    return [pid for pid in pids if own is not None and _mounts_of(proc / str(pid)) == own] or pids


def _mounts_of(entry: Path) -> str | None:
    with suppress(OSError):
        return str((entry / "ns/mnt").readlink())
    return None


def _with_sockets_below(pids: list[int], folder: Path, proc: Path) -> list[int]:
    """Return those that listen on a unix socket below this folder, or all where none of them is known to.

    libvirt hands QEMU its sockets open, so that they are not on its command line (proc_net(5), unix).
    """
    rows = (line.split(maxsplit=7) for line in (proc / "net" / "unix").read_text(errors="replace").splitlines())
    wanted = {f"socket:[{row[6]}]" for row in rows if len(row) == 8 and row[7].startswith(f"{folder}/")}
    return [pid for pid in pids if wanted & set(_open_in(proc / str(pid)))] or pids


def _open_in(entry: Path) -> Iterator[str]:
    """Yield what a process has open; nothing of one that has ended or may not be looked into."""
    with suppress(OSError):
        for link in (entry / "fd").iterdir():
            with suppress(OSError):
                yield str(link.readlink())


def _open(pid: int) -> QEMUProcess | None:
    try:
        return QEMUProcess(pid=pid, pidfd=os.pidfd_open(pid))
    except ProcessLookupError:
        return None
