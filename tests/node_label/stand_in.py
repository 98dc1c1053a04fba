"""A stand-in of the Kubernetes API server on loopback: TLS with a certificate of its own, and what it was asked."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOKEN = "token-of-the-service-account"  # noqa: S105 - known to nobody but these tests

# Made for these tests and trusted by nothing else; valid for 127.0.0.1 from 2020 to 2120.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBhzCCASygAwIBAgIBATAKBggqhkjOPQQDAjAhMR8wHQYDVQQDDBZBUEkgc3Rh
bmQtaW4gb2YgYSB0ZXN0MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAw
WjAhMR8wHQYDVQQDDBZBUEkgc3RhbmQtaW4gb2YgYSB0ZXN0MFkwEwYHKoZIzj0C
AQYIKoZIzj0DAQcDQgAEhgGwCTAAa5BvRYWZASK37DeXmtw1NzSVQpeNIKJ8F2SF
6THSZosP9ynxwu3kclGhvFAh9T6JIhSVTppIN6ZdlKNTMFEwDwYDVR0RBAgwBocE
fwAAATAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIChDAdBgNVHQ4EFgQU
ATR9BunW0gKv891GFBFrMXrRkx0wCgYIKoZIzj0EAwIDSQAwRgIhAPpMwAmLgQ27
/pxtLnl0AOdODDYcENbW+eaix7VGft4bAiEAnoAX+/w8yY1Dw+o9A/G45gBgbnIy
1vobOo8D7eqchHU=
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgXFHaNz7CI9GtPAes
Pr6KM4XOGNWpkSMpvrq7mfnTOnKhRANCAASGAbAJMABrkG9FhZkBIrfsN5ea3DU3
NJVCl40gonwXZIXpMdJmiw/3KfHC7eRyUaG8UCH1PokiFJVOmkg3pl2U
-----END PRIVATE KEY-----
"""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it came over the wire."""

    method: str
    path: str
    headers: dict[str, str]
    body: object


@dataclass(kw_only=True)
class StandIn:
    """A running stand-in: its port, its service account's folder, what it was asked, and how it is to answer."""

    port: int
    account: Path
    requests: list[Request] = field(default_factory=list)
    status: int = 200
    answer: bytes = b'{"kind": "Node"}'
    asked: threading.Event = field(default_factory=threading.Event)
    # What it does instead of an answer: "reset", "close" or "hang".
    does: str = ""
    retry_after: str | None = None
    times: list[float] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def environment(self) -> dict[str, str]:
        """What the kubelet puts into a container's environment."""
        return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.port)}


@contextmanager
def api_server(folder: Path) -> Iterator[StandIn]:
    """Serve until the end of the context; the service account lies in the folder."""
    (folder / "token").write_text(f"{TOKEN}\n")
    (folder / "ca.crt").write_text(CERTIFICATE)
    pair = folder / "server.pem"
    pair.write_text(KEY + CERTIFICATE)
    stand_in = StandIn(port=0, account=folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(stand_in))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    stand_in.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield stand_in
    finally:
        stand_in.ended.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


def _handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_PATCH(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = Request(
                method=self.command, path=self.path, headers=dict(self.headers.items()), body=json.loads(body)
            )
            stand_in.requests.append(request)
            stand_in.times.append(time.monotonic())
            if stand_in.does:
                self._break_off()
                return
            self.send_response(stand_in.status)
            if stand_in.retry_after is not None:
                self.send_header("Retry-After", stand_in.retry_after)
            self.send_header("Content-Length", str(len(stand_in.answer)))
            self.end_headers()
            self.wfile.write(stand_in.answer)
            stand_in.asked.set()

        def _break_off(self) -> None:
            self.close_connection = True
            if stand_in.does == "hang":
                stand_in.ended.wait(30)
            if stand_in.does == "reset":
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                # Below TLS, which would say goodbye.
                socket.socket(fileno=self.connection.detach()).close()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's own word
            """Say nothing."""

    return Handler
