"""A server for small questions: one thread, one request a connection, and bounds on everything a client could hold."""

from __future__ import annotations

import logging
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable

from msgspec import Struct, field

_log = logging.getLogger(__name__)

_READ_BYTES = 65536
# Connections that the kernel holds for us until they are accepted.
_BACKLOG = 128
# What the kernel holds of an answer that is not read; else it would take megabytes, and long after we let go.
_SEND_BUFFER_BYTES = 256 * 1024
# Close at once and forget what is unsent (socket(7), SO_LINGER with a time of zero).
_ABORT = struct.pack("ii", 1, 0)
# Out of descriptors, the listener stays readable: look again after this long, not at once.
_NO_DESCRIPTORS_S = 0.1


class Limits(Struct, frozen=True, kw_only=True):
    """What all clients together may hold: connections, bytes of a request, seconds from connect to the last byte."""

    most_clients: int
    request_bytes: int
    deadline_s: float


class Service(Struct, frozen=True, kw_only=True):
    """What is served: when a request is whole, what answers it, and what answers one that is too long.

    `answer` runs in the server's thread and holds up every other client: it must not wait for anything.
    `admits` decides by the connection alone; who is not admitted is cut.
    """

    name: str
    is_whole: Callable[[bytes], bool]
    answer: Callable[[bytes], bytes]
    too_long: bytes
    failed: bytes
    admits: Callable[[socket.socket], bool] = lambda _connection: True


class _Client(Struct, kw_only=True):
    """One connection: what has come, and what is still to be sent (None before the request is whole)."""

    connection: socket.socket
    ends_s: float
    received: bytearray = field(default_factory=bytearray)
    unsent: memoryview | None = None
    # The rest of a request that was too long is read and dropped: closing over unread bytes would lose the answer.
    drains: bool = False


class BoundedServer:
    """Serves a listening socket from a daemon thread of its own, from `start` to `stop`.

    Where there are too many clients the oldest one makes way: one that speaks at once is served at once, however many
    others hold connections and say nothing.
    """

    def __init__(self, listener: socket.socket, service: Service, limits: Limits) -> None:
        self._listener = listener
        self._service = service
        self._limits = limits
        # Oldest first; all have the same time, so the first one's ends first.
        self._clients: dict[socket.socket, _Client] = {}
        self._selector = selectors.DefaultSelector()
        self._waker, self._wakened = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name=service.name, daemon=True)

    def start(self) -> None:
        """Listen and begin to serve."""
        self._listener.settimeout(0.0)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._listener.listen(_BACKLOG)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wakened, selectors.EVENT_READ)
        self._thread.start()

    def stop(self) -> None:
        """End the thread (at most two seconds are waited for it); every connection is cut."""
        self._waker.close()
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        while self._turn():
            pass
        for client in tuple(self._clients.values()):
            self._drop(client)
        for socket_ in (self._listener, self._wakened):
            socket_.close()
        self._selector.close()

    def _turn(self) -> bool:
        """Do what is ready; False once somebody wants the end."""
        for key, _events in self._selector.select(self._timeout_s()):
            if key.fileobj is self._wakened:
                return False
            if key.fileobj is self._listener:
                self._accept_some()
            elif (client := self._clients.get(key.data)) is not None:
                self._advance(client)
        self._drop_overdue(time.monotonic())
        return True

    def _timeout_s(self) -> float | None:
        oldest = next(iter(self._clients.values()), None)
        return None if oldest is None else max(oldest.ends_s - time.monotonic(), 0.0)

    def _drop_overdue(self, now_s: float) -> None:
        while self._clients:
            oldest = next(iter(self._clients.values()))
            if oldest.ends_s > now_s:
                return
            self._cut(oldest)

    def _accept_some(self) -> None:
        """Take those who wait, but so many that each of them is looked at before the next ones come."""
        for _ in range(self._limits.most_clients):
            connection = self._accept()
            if connection is None:
                return
            if self._service.admits(connection):
                self._take(connection)
            else:
                connection.close()

    def _accept(self) -> socket.socket | None:
        try:
            return self._listener.accept()[0]
        except (BlockingIOError, ConnectionError):
            return None
        except OSError as error:
            _log.warning("not accepted: %s: %s", self._service.name, error.strerror)
            time.sleep(_NO_DESCRIPTORS_S)
            return None

    def _take(self, connection: socket.socket) -> None:
        if len(self._clients) >= self._limits.most_clients:
            self._cut(next(iter(self._clients.values())))
        connection.settimeout(0.0)
        client = _Client(connection=connection, ends_s=time.monotonic() + self._limits.deadline_s)
        self._clients[connection] = client
        self._selector.register(connection, selectors.EVENT_READ, connection)
        # Whoever connects mostly speaks at once, and is answered before others make it the oldest.
        self._advance(client)

    def _advance(self, client: _Client) -> None:
        try:
            if client.unsent is None:
                self._receive(client)
            elif client.unsent:
                self._send(client)
            else:
                self._drain(client)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)

    def _receive(self, client: _Client) -> None:
        chunk = client.connection.recv(_READ_BYTES)
        client.received += chunk
        if not chunk:
            self._drop(client)
        elif self._service.is_whole(bytes(client.received[: self._limits.request_bytes])):
            self._reply(client, self._answer(bytes(client.received)))
        elif len(client.received) >= self._limits.request_bytes:
            client.drains = True
            self._reply(client, self._service.too_long)

    def _answer(self, request: bytes) -> bytes:
        try:
            return self._service.answer(request)
        except Exception:  # noqa: BLE001 - a bug here must not end the service that tells whether the launcher lives
            _log.exception("not answered: %s", self._service.name)
            return self._service.failed

    def _reply(self, client: _Client, answer: bytes) -> None:
        client.received.clear()
        client.unsent = memoryview(answer)
        self._selector.modify(client.connection, selectors.EVENT_WRITE, client.connection)
        self._send(client)

    def _send(self, client: _Client) -> None:
        unsent = client.unsent or memoryview(b"")
        client.unsent = unsent[client.connection.send(unsent) :]
        if client.unsent:
            return
        if not client.drains:
            self._drop(client)
            return
        client.connection.shutdown(socket.SHUT_WR)
        self._selector.modify(client.connection, selectors.EVENT_READ, client.connection)

    def _drain(self, client: _Client) -> None:
        if not client.connection.recv(_READ_BYTES):
            self._drop(client)

    def _cut(self, client: _Client) -> None:
        client.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self._drop(client)

    def _drop(self, client: _Client) -> None:
        if self._clients.pop(client.connection, None) is not None:
            self._selector.unregister(client.connection)
            client.connection.close()
