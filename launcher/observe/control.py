"""The control socket: commands for a running launcher, from its own user or root, over a unix socket of mode 0600.

One request and one answer a connection, each one line of JSON: `{"command": "status"}`, answered by
`{"ok": true, "status": {...}}`; the other commands by `{"ok": true}`; and `{"ok": false, "error": "..."}` where the
request is wrong or refused.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from launcher.errors import HypervisorError, UsageError
from launcher.observe.bounded import BoundedServer, Limits, Service
from launcher.observe.status import Document, Latest, status_now
from launcher.supervise.commands import Command

_log = logging.getLogger(__name__)

# People and scripts on the same machine: a request is a line, the answer is small and read at once.
LIMITS = Limits(most_clients=32, request_bytes=65536, deadline_s=2.0)
# sockaddr_un.sun_path (unix(7)) takes 107 bytes and a NUL; the socket is made beside its place, under a longer name.
_LONGEST_PATH = 107 - len(".new")
_PREDECESSOR_TIMEOUT_S = 1.0
_UCRED = struct.Struct("3i")

OnCommand = Callable[[Command], str]


@contextlib.contextmanager
def serve_control(path: Path, latest: Latest, on_command: OnCommand, *, limits: Limits = LIMITS) -> Iterator[None]:
    """Serve commands on a unix socket until the end of the context, and remove it then.

    `latest` returns the newest snapshot, None before there is one. `on_command` is told every command but `status`;
    it posts the command and returns at once "" or why it is refused. The folder is made where it is missing; a socket
    that a dead launcher left is replaced.
    Raises UsageError where the path is too long, HypervisorError where it is taken or cannot be made.
    """
    listener = _bind(path)
    inode = path.stat().st_ino
    service = _service(lambda request: answer(request, latest, on_command))
    server = BoundedServer(listener, service, limits)
    server.start()
    _log.debug("listening: %s", path)
    try:
        yield
    finally:
        server.stop()
        with contextlib.suppress(OSError):
            # Not the socket of a successor.
            if path.stat().st_ino == inode:
                path.unlink()


def answer(request: bytes, latest: Latest, on_command: OnCommand) -> bytes:
    """Return the answer to one request: a line of JSON."""
    try:
        command = parse_request(request)
    except ValueError as error:
        return _line({"ok": False, "error": str(error)})
    if command is Command.STATUS:
        return _line({"ok": True, "status": status_now(latest())})
    _log.info("commanded: %s", command)
    refusal = on_command(command)
    return _line({"ok": False, "error": refusal} if refusal else {"ok": True})


def parse_request(request: bytes) -> Command:
    """Read the first line of a request; raises ValueError that quotes what is wrong."""
    line = request.partition(b"\n")[0]
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError(f"{_quoted(line)} is not a line of JSON") from None
    word = document.get("command") if isinstance(document, dict) else None
    if not isinstance(word, str) or word not in tuple(Command):
        known = ", ".join(Command)
        raise ValueError(f'{_quoted(line)}: wanted {{"command": WORD}}, where WORD is one of {known}')
    unknown = sorted(document.keys() - {"command"})
    if unknown:
        names = " and ".join(_quoted(name.encode()) for name in unknown)
        raise ValueError(f'{names} {"is" if len(unknown) == 1 else "are"} not known: wanted {{"command": WORD}} alone')
    return Command(word)


def _quoted(line: bytes) -> str:
    return ascii(line[:60].decode("utf-8", "replace"))


def _line(document: Document) -> bytes:
    return json.dumps(document).encode() + b"\n"


def _service(answer_: Callable[[bytes], bytes]) -> Service:
    return Service(
        name="control",
        is_whole=lambda request: b"\n" in request,
        answer=answer_,
        too_long=_line({"ok": False, "error": "the request is too long"}),
        failed=_line({"ok": False, "error": "a bug; the launcher's log has it"}),
        admits=_is_ours,
    )


def _is_ours(connection: socket.socket) -> bool:
    """Tell whether the client is of our own user, or root; the file's mode says so already, and may be changed."""
    try:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    except OSError:
        return False
    _pid, uid, _gid = _UCRED.unpack(credentials)
    return uid in (0, os.geteuid())


def _bind(path: Path) -> socket.socket:
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise UsageError(f"--control {path}: a unix socket's path may have {_LONGEST_PATH} bytes here")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_free(path)
        return _bind_beside(path)
    except OSError as error:
        raise HypervisorError(f"{path}: control socket: {error.strerror}") from error


def _check_free(path: Path) -> None:
    """Raise HypervisorError where a launcher answers at this path, or something is there that is no socket."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise HypervisorError(f"{path}: control socket: something else is there, and it is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_PREDECESSOR_TIMEOUT_S)
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            return
        except (TimeoutError, BlockingIOError):
            # Its queue is full: it is there, and stopped or flooded.
            pass
    raise HypervisorError(f"{path}: control socket: another launcher listens there")


def _bind_beside(path: Path) -> socket.socket:
    """Make the socket under another name and move it to its place, over a dead one.

    The mode is set before the file is there: bind(2) takes it over from the descriptor, so that no umask has to be
    changed, which would be seen by every other thread.
    """
    beside = path.with_name(f"{path.name}.new")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), 0o600)
        beside.unlink(missing_ok=True)
        listener.bind(str(beside))
        if stat.S_IMODE(beside.stat().st_mode) != 0o600:
            beside.chmod(0o600)
        listener.listen()
        beside.replace(path)
    except OSError:
        listener.close()
        raise
    return listener
