"""The launcher over HTTP: probes, metrics and status, to be read by anyone, and nothing to be changed."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TypeAlias

from msgspec import Struct

from launcher.errors import UsageError
from launcher.observe.bounded import BoundedServer, Limits, Service
from launcher.observe.kvm import ImpatientCounters, KVMCounters, no_kvm_counters
from launcher.observe.status import Latest, status_now, times_of
from launcher.supervise.conditions import condition_of
from launcher.supervise.lifecycle import Phase
from launcher.supervise.snapshot import ConditionStatus, ConditionType

_log = logging.getLogger(__name__)

Check: TypeAlias = Callable[[], str | None]

# A probe or a scrape is a line and a few headers, answered in milliseconds. 32 connections are a handful of scrapers;
# those beyond make the oldest make way.
LIMITS = Limits(most_clients=32, request_bytes=8192, deadline_s=5.0)
# The loop beats every second or so; a call to libvirt within it may take ten seconds where QEMU is stopped.
BEAT_S = 15.0

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class Address(Struct, frozen=True, kw_only=True):
    """Where to listen; an empty host is every address, port 0 any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Response(Struct, frozen=True, kw_only=True):
    """One answer: the status, the type of the content, and the content."""

    status: HTTPStatus
    content_type: str
    content: bytes


def parse_address(text: str) -> Address:
    """Read HOST:PORT, [IPv6]:PORT or :PORT; raises UsageError."""
    host, colon, port = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not (port.isascii() and port.isdigit()) or (":" in host and not is_bracketed):
        raise UsageError(f"--listen {text}: wanted HOST:PORT, such as 0.0.0.0:9090, [::1]:9090 or :9090")
    if int(port) > 65535:
        raise UsageError(f"--listen {text}: {port} is no port, the last one is 65535")
    return Address(host=host[1:-1] if is_bracketed else host, port=int(port))


@contextlib.contextmanager
def serve_http(
    listen: str,
    latest: Latest,
    *,
    kvm_counters: KVMCounters = no_kvm_counters,
    checks: GuestChecks | None = None,
    limits: Limits = LIMITS,
) -> Iterator[Address]:
    """Serve `/livez`, `/readyz`, `/metrics` and `/status` until the end of the context; yields where it listens.

    With `checks`, `/livez/guest` and `/readyz/guest` tell what the guest's own probes found besides.

    `latest` returns the newest snapshot, None before there is one. `kvm_counters` returns libvirt's statistics of the
    vCPUs; it is asked only for `/metrics`, and may hang or raise HypervisorError. Raises UsageError where the address
    is malformed, is not one of this machine, or is in use.
    """
    listener = _listen(listen)
    impatient = ImpatientCounters(kvm_counters)
    pages = Pages(latest=latest, kvm_counters=impatient, checks=checks or GuestChecks())
    server = BoundedServer(listener, _service(pages), limits)
    host, port = listener.getsockname()[:2]
    address = Address(host=host, port=port)
    server.start()
    _log.debug("listening: http://%s", address)
    try:
        yield address
    finally:
        server.stop()


def _listen(text: str) -> socket.socket:
    address = parse_address(text)
    try:
        return _bind(address)
    except socket.gaierror as error:
        raise UsageError(f"--listen {text}: no address for host {address.host!r}: {error.strerror}") from error
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"--listen {text}: {reason}") from error


def _bind(address: Address) -> socket.socket:
    """Bind; every address means IPv4 and IPv6 through one socket, where the machine has both."""
    if not address.host:
        is_dual = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if is_dual else socket.AF_INET
        return socket.create_server(("", address.port), family=family, dualstack_ipv6=is_dual)
    family, _type, _protocol, _name, where = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return socket.create_server(where[:2], family=family)


class GuestChecks(Struct, frozen=True, kw_only=True):
    """The guest's own probes, as far as there are any: why each failed when it was made last, None where not."""

    liveness: Check | None = None
    readiness: Check | None = None


class Pages(Struct, frozen=True, kw_only=True):
    """What can be read, each page made anew from the newest snapshot."""

    latest: Latest
    kvm_counters: KVMCounters = no_kvm_counters
    checks: GuestChecks = GuestChecks()

    def page(self, path: str) -> Response:
        """Return the page of this path; no path reaches beyond these."""
        pages = {
            "/livez": self.livez,
            "/readyz": self.readyz,
            "/metrics": self.metrics,
            "/status": self.status,
            "/livez/guest": self.guest_livez,
            "/readyz/guest": self.guest_readyz,
        }
        make = pages.get(path)
        return _said(HTTPStatus.NOT_FOUND, f"not found; there are {', '.join(pages)}") if make is None else make()

    def livez(self) -> Response:
        """Tell whether the supervisor's loop goes round; a launcher that has no guest yet lives, too."""
        snapshot = self.latest()
        silent_s = 0.0 if snapshot is None else time.monotonic() - snapshot.beat_s
        if silent_s > BEAT_S:
            return _said(HTTPStatus.SERVICE_UNAVAILABLE, f"the loop has not gone round for {silent_s:.0f} s")
        return _said(HTTPStatus.OK, "ok")

    def readyz(self) -> Response:
        """Tell whether the guest runs and its pinning is verified."""
        snapshot = self.latest()
        if snapshot is None:
            return _said(HTTPStatus.SERVICE_UNAVAILABLE, "the guest is not started yet")
        ready = condition_of(snapshot, ConditionType.READY)
        if ready.status is ConditionStatus.TRUE:
            return _said(HTTPStatus.OK, "ok")
        return _said(HTTPStatus.SERVICE_UNAVAILABLE, ready.message)

    def guest_readyz(self) -> Response:
        """Tell whether the guest runs, its pinning is verified, and it is ready by its own probe."""
        own = self.readyz()
        return own if own.status is not HTTPStatus.OK else _checked(self.checks.readiness, "readinessProbe")

    def guest_livez(self) -> Response:
        """Tell whether the launcher lives, and the guest by its own probe; one that does not run is not asked."""
        own, snapshot = self.livez(), self.latest()
        if own.status is not HTTPStatus.OK or snapshot is None or snapshot.phase is not Phase.RUNNING:
            return own
        return _checked(self.checks.liveness, "livenessProbe")

    def status(self) -> Response:
        """Return the status document."""
        content = json.dumps(status_now(self.latest())).encode() + b"\n"
        return Response(status=HTTPStatus.OK, content_type=_JSON, content=content)

    def metrics(self) -> Response:
        """Return the metrics in Prometheus' text format."""
        from launcher.observe.metrics import exposition  # noqa: PLC0415 - imports prometheus-client: 5 MiB, 75 ms

        snapshot = self.latest()
        content = (
            exposition(snapshot, times_of(snapshot), self.kvm_counters()) if snapshot else exposition(None, {}, {})
        )
        return Response(status=HTTPStatus.OK, content_type=_METRICS, content=content)


def _checked(check: Check | None, name: str) -> Response:
    fault = None if check is None else check()
    if fault is None:
        return _said(HTTPStatus.OK, "ok")
    return _said(HTTPStatus.SERVICE_UNAVAILABLE, f"the guest's {name}: {fault}")


def _said(status: HTTPStatus, sentence: str) -> Response:
    return Response(status=status, content_type=_TEXT, content=f"{sentence}\n".encode(errors="replace"))


def _service(pages: Pages) -> Service:
    too_long = _said(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request is too long")
    failed = _said(HTTPStatus.INTERNAL_SERVER_ERROR, "a bug; the launcher's log has it")
    return Service(
        name="http",
        is_whole=_is_whole,
        answer=lambda request: answer(request, pages.page),
        too_long=_message(too_long),
        failed=_message(failed),
    )


def _is_whole(request: bytes) -> bool:
    """Tell whether the headers have ended; bare line feeds are taken, too (RFC 9112, 2.2)."""
    return b"\r\n\r\n" in request or b"\n\n" in request


def answer(request: bytes, page: Callable[[str], Response]) -> bytes:
    """Return the answer to one whole request. Only its first line counts, and of the target only the path."""
    words = request.partition(b"\n")[0].strip().decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return _message(_said(HTTPStatus.BAD_REQUEST, "not a request of HTTP/1.0 or 1.1"))
    method, target = words[:2]
    if method not in ("GET", "HEAD"):
        refusal = _said(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD; commands go over the control socket")
        return _message(refusal, allow=True)
    return _message(page(target.partition("?")[0]), with_content=method == "GET")


def _message(response: Response, *, with_content: bool = True, allow: bool = False) -> bytes:
    lines = (
        f"HTTP/1.1 {response.status.value} {response.status.phrase}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.content)}",
        "Cache-Control: no-store",
        *(("Allow: GET, HEAD",) if allow else ()),
        "Connection: close",
    )
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return head + response.content if with_content else head
