"""Gives a guest the host's figures: a disk written every few seconds, and a virtio port that answers."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from launcher.errors import LauncherError
from launcher.observe.figures import DISK_BYTES, answer_to, write_disk

_log = logging.getLogger(__name__)

# KubeVirt's; the disk's figures are as old as that, and a guest is answered so often.
REFRESH_S = 5.0
ANSWER_INTERVAL_S = 1.0
# QEMU makes the port's socket at its start, which may take minutes.
_CONNECT_INTERVAL_S = 1.0
_MOST_REQUEST_BYTES = 4096
_INVALID = b"INVALID REQUEST\n\n"
_NOTHING = b"<metrics><!-- host metrics not available --><!-- VM metrics not available --></metrics>\n\n"

# Returns the figures as vhostmd's document; raises LauncherError where there is no guest to tell of.
Document = Callable[[], bytes]


@contextmanager
def fed(document: Document, *, disks: tuple[str, ...], port: str | None) -> Iterator[None]:
    """Write these disks and answer at this port's socket until the end of the context."""
    stop = threading.Event()
    jobs = [("figures", lambda: _write(document, disks, stop))] if disks else []
    if port is not None:
        jobs.append(("figures-port", lambda: _serve(document, port, stop)))
    threads = [threading.Thread(target=call, name=name, daemon=True) for name, call in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()


def _write(document: Document, disks: tuple[str, ...], stop: threading.Event) -> None:
    while not stop.wait(REFRESH_S):
        with suppress(LauncherError):
            content = document()
            for path in disks:
                _write_one(path, content)


def _write_one(path: str, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        _log.debug("figures: %s: %s", path, error.strerror)
        return
    try:
        if os.fstat(descriptor).st_size == DISK_BYTES:
            write_disk(descriptor, content)
    finally:
        os.close(descriptor)


def _serve(document: Document, path: str, stop: threading.Event) -> None:
    """Connect to QEMU's socket, and again where it is gone, and answer one request after the other."""
    while not stop.wait(_CONNECT_INTERVAL_S):
        with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            _converse(connection, document, stop)


def _converse(connection: socket.socket, document: Document, stop: threading.Event) -> None:
    received = b""
    while not stop.is_set():
        data = connection.recv(_MOST_REQUEST_BYTES)
        if not data:
            return
        received = (received + data).replace(b"\r", b"")
        if b"\n\n" not in received and len(received) < _MOST_REQUEST_BYTES:
            continue
        request, _, _ = received.partition(b"\n\n")
        received = b""
        connection.sendall(_reply(document) if answer_to(request) else _INVALID)
        # Whoever asks without end is answered once a second.
        time.sleep(ANSWER_INTERVAL_S)


def _reply(document: Document) -> bytes:
    try:
        return document() + b"\n"
    except LauncherError:
        return _NOTHING
