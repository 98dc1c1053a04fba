"""The client of the control socket: one question, one answer, each within a deadline."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from launcher.errors import HypervisorError
from launcher.observe.view import Answer, StatusView, read_answer, read_status
from launcher.supervise.commands import Command

# The launcher answers at once; where it has many clients the oldest of them make way.
TIMEOUT_S = 5
_READ_BYTES = 65536
# The status of a guest with 512 vCPUs takes some 200 kB.
_MOST_BYTES = 16 << 20


class NoLauncher(HypervisorError):
    """Nobody listens on the control socket, or it is not there."""


def ask(path: Path, command: Command) -> Answer:
    """Send one command and return the answer; raises HypervisorError where no launcher is there, or it refuses."""
    text = _exchange(path, f'{{"command": "{command}"}}\n'.encode())
    try:
        answer = read_answer(text)
    except ValueError as error:
        raise HypervisorError(f"{path}: not a launcher's answer: {error}") from error
    if not answer.ok:
        raise HypervisorError(f"{command}: refused: {answer.error}")
    return answer


def ask_status(path: Path) -> tuple[bytes, StatusView]:
    """Return the status as JSON and as a value; raises HypervisorError."""
    text = bytes(ask(path, Command.STATUS).status)
    try:
        return text, read_status(text)
    except ValueError as error:
        raise HypervisorError(f"{path}: a status that this version does not understand: {error}") from error


def _exchange(path: Path, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        # Not settimeout: connect(2) would then fail at once where many others are waiting to be accepted.
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            client.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", TIMEOUT_S, 0))
        try:
            client.connect(str(path))
            client.sendall(request)
            answer = _read_all(client)
        except BlockingIOError:
            raise HypervisorError(f"{path}: the launcher does not answer within {TIMEOUT_S} s") from None
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NoLauncher(f"{path}: no launcher listens there; --root or --control says where") from error
        except OSError as error:
            raise HypervisorError(f"{path}: {error.strerror or error}") from error
    if len(answer) > _MOST_BYTES:
        raise HypervisorError(f"{path}: not a launcher's answer: it is longer than {_MOST_BYTES >> 20} MiB")
    return answer


def _read_all(client: socket.socket) -> bytes:
    found = bytearray()
    while len(found) <= _MOST_BYTES and (chunk := client.recv(_READ_BYTES)):
        found += chunk
    return bytes(found)
