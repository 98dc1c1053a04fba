"""Clients of the launcher's sockets, well-behaved and not."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass
from pathlib import Path

# No test measures time: this only ends a test whose server does not answer at all.
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer over HTTP."""

    status: int
    headers: dict[str, str]
    content: bytes


def connect(where: tuple[str, int] | Path) -> socket.socket:
    """Connect to an address or to a unix socket."""
    if isinstance(where, Path):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(str(where))
        client.settimeout(PATIENCE_S)
        return client
    return socket.create_connection(where, timeout=PATIENCE_S)


def read_all(client: socket.socket) -> bytes:
    """Read to the end; a connection that was cut ends, too."""
    found = b""
    try:
        while chunk := client.recv(65536):
            found += chunk
    except ConnectionResetError:
        pass
    return found


def exchange(where: tuple[str, int] | Path, request: bytes) -> bytes:
    """Send bytes and return everything that comes back."""
    with connect(where) as client:
        client.sendall(request)
        return read_all(client)


def fetch(where: tuple[str, int], path: str, method: str = "GET") -> Reply:
    """Ask for a page as any HTTP client does."""
    return parse_reply(exchange(where, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()))


def parse_reply(answer: bytes) -> Reply:
    """Take an answer apart."""
    head, _, content = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Reply(status=int(first.split()[1]), headers=headers, content=content)


def held() -> tuple[int, int]:
    """Return how many threads and descriptors this process has."""
    return threading.active_count(), open_descriptors()


def is_no_more_than(before: tuple[int, int]) -> bool:
    """Tell whether this process has no more of either by now; what an earlier test left may have gone meanwhile."""
    threads, descriptors = held()
    return threads <= before[0] and descriptors <= before[1]


def open_descriptors() -> int:
    """Count the descriptors that this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))
