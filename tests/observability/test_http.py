"""The launcher over HTTP: real sockets, real clients, those too that mean harm or do nothing."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest
from msgspec.structs import replace

from launcher.errors import HypervisorError, UsageError
from launcher.observe.bounded import Limits
from launcher.observe.http import BEAT_S, Address, parse_address, serve_http
from launcher.observe.kvm import ImpatientCounters
from launcher.supervise.lifecycle import Phase
from launcher.supervise.snapshot import Snapshot
from tests.faults.places import wait_until
from tests.observability.clients import (
    PATIENCE_S,
    connect,
    exchange,
    fetch,
    held,
    is_no_more_than,
    open_descriptors,
    parse_reply,
    read_all,
)
from tests.observability.snapshots import drifted, snapshot

LIMITS = Limits(most_clients=8, request_bytes=8192, deadline_s=0.5)
Where = tuple[str, int]


class Latest:
    """The newest snapshot, as the supervisor would hold it."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = snapshot(beat_s=time.monotonic())

    def __call__(self) -> Snapshot | None:
        return self.snapshot


@pytest.fixture
def latest() -> Latest:
    return Latest()


@pytest.fixture
def where(latest: Latest) -> Iterator[Where]:
    with serve_http("127.0.0.1:0", latest, limits=LIMITS) as address:
        yield address.host, address.port


ADDRESSES = {
    "an IPv4 address and a port": ("0.0.0.0:9090", Address(host="0.0.0.0", port=9090)),  # noqa: S104 - only parsed
    "an IPv6 address in brackets": ("[::1]:9090", Address(host="::1", port=9090)),
    "a name": ("localhost:80", Address(host="localhost", port=80)),
    "every address": (":9090", Address(host="", port=9090)),
    "any free port": ("127.0.0.1:0", Address(host="127.0.0.1", port=0)),
}


@pytest.mark.parametrize(("text", "address"), ADDRESSES.values(), ids=ADDRESSES)
def test_an_address_is_read_and_written(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


WRONG = {
    "nothing": "",
    "a port alone": "9090",
    "a host alone": "localhost",
    "a host and a colon": "localhost:",
    "a port that is no number": "localhost:http",
    "a negative port": "localhost:-1",
    "a port beyond the last": "localhost:65536",
    "a port of other digits": "localhost:\u0663",
    "IPv6 without brackets": "::1:9090",
    "brackets that do not close": "[::1:9090",
    "a host of another machine": "192.0.2.1:0",
    "a name that nobody has": "no-such-host.invalid:0",
    "a name too long for any resolver": f"{'a' * 300}:0",
    "a NUL in the name": "a\0b:0",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_a_wrong_address_is_a_usage_error_of_one_line(text: str, latest: Latest) -> None:
    with pytest.raises(UsageError) as caught, serve_http(text, latest):
        pass
    assert str(caught.value).startswith("--listen ")
    assert "\n" not in str(caught.value)


def test_an_address_in_use_is_a_usage_error_of_one_line(where: Where, latest: Latest) -> None:
    with (
        pytest.raises(UsageError, match=r"^--listen 127.0.0.1:\d+: Address already in use"),
        serve_http(f"127.0.0.1:{where[1]}", latest),
    ):
        pass


def test_every_address_means_ipv4_and_ipv6(latest: Latest) -> None:
    with serve_http(":0", latest) as address:
        assert fetch(("127.0.0.1", address.port), "/livez").status == 200
        if socket.has_dualstack_ipv6():
            assert fetch(("::1", address.port), "/livez").status == 200


def test_the_port_is_free_again_at_the_end(latest: Latest) -> None:
    with serve_http("127.0.0.1:0", latest) as address:
        pass
    with serve_http(str(address), latest) as again:
        assert again == address


def test_a_common_client_reads_the_status(where: Where) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{where[1]}/status", timeout=30) as response:
        assert response.headers["Content-Type"] == "application/json"
        assert json.load(response)["name"] == "db"


def test_a_running_and_verified_guest_is_live_and_ready(where: Where) -> None:
    assert [fetch(where, path).status for path in ("/livez", "/readyz")] == [200, 200]


def test_a_launcher_without_a_guest_is_live_and_not_ready(where: Where, latest: Latest) -> None:
    latest.snapshot = None
    assert [fetch(where, path).status for path in ("/livez", "/readyz", "/status", "/metrics")] == [200, 503, 200, 200]
    assert json.loads(fetch(where, "/status").content)["phase"] == "starting"


def test_a_loop_that_stands_still_is_not_live(where: Where, latest: Latest) -> None:
    latest.snapshot = snapshot(beat_s=time.monotonic() - BEAT_S - 1)
    reply = fetch(where, "/livez")
    assert (reply.status, reply.content) == (503, b"the loop has not gone round for 16 s\n")


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (drifted(), b"vcpu 1 (thread 4719"),
        (snapshot(phase=Phase.PAUSED), b"the guest is paused"),
        (snapshot(verified_at=None), b"not compared yet"),
    ],
    ids=["drifted", "paused", "not compared"],
)
def test_a_guest_that_is_not_ready_says_why(seen: Snapshot, why: bytes, where: Where, latest: Latest) -> None:
    latest.snapshot = replace(seen, beat_s=time.monotonic())
    reply = fetch(where, "/readyz")
    assert reply.status == 503
    assert why in reply.content


def test_metrics_have_prometheus_content_type_and_the_guest(where: Where) -> None:
    reply = fetch(where, "/metrics")
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b'virt_launcher_guest_phase{phase="running"} 1.0\n' in reply.content


def test_the_times_are_those_of_the_kernel(where: Where, latest: Latest) -> None:
    tid = threading.get_native_id()
    seen = snapshot(pid=os.getpid())
    latest.snapshot = replace(seen, threads=(replace(seen.threads[3], tid=tid),))
    (thread,) = json.loads(fetch(where, "/status").content)["threads"]
    assert thread["last_cpu"] in os.sched_getaffinity(0)
    assert thread["ran_seconds"] > 0


REFUSED = {
    "an unknown path": (b"GET / HTTP/1.1\r\n\r\n", 404),
    "a file of the machine": (b"GET /etc/passwd HTTP/1.1\r\n\r\n", 404),
    "a way out of the folder": (b"GET /status/../../etc/passwd HTTP/1.1\r\n\r\n", 404),
    "an encoded way out": (b"GET /%2e%2e/etc/passwd HTTP/1.1\r\n\r\n", 404),
    "a path with NUL": (b"GET /status\0 HTTP/1.1\r\n\r\n", 404),
    "a path with a slash more": (b"GET /status/ HTTP/1.1\r\n\r\n", 404),
    "a writing method": (b"POST /status HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
    "a method in lower case": (b"get /status HTTP/1.1\r\n\r\n", 405),
    "a proxy's method": (b"CONNECT x:80 HTTP/1.1\r\n\r\n", 405),
    "HTTP/0.9": (b"GET /status\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "an empty line": (b"\r\n\r\n", 400),
    "garbage": (b"\xff\x00\xfe\n\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\n\n", 400),
    "a request line that is too long": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 431),
    "headers that are too long": (b"GET /status HTTP/1.1\r\n" + b"A: b\r\n" * 20000 + b"\r\n", 431),
}


@pytest.mark.parametrize(("request_", "status"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_refused(request_: bytes, status: int, where: Where) -> None:
    assert parse_reply(exchange(where, request_)).status == status


def test_a_query_and_bare_line_feeds_are_taken(where: Where) -> None:
    assert parse_reply(exchange(where, b"GET /livez?verbose=1 HTTP/1.0\n\n")).status == 200


def test_head_has_the_headers_and_no_content(where: Where) -> None:
    reply = fetch(where, "/livez", "HEAD")
    assert (reply.status, reply.headers["Content-Length"], reply.content) == (200, "3", b"")


def test_a_client_that_says_nothing_is_cut(where: Where) -> None:
    with connect(where) as silent:
        assert read_all(silent) == b""


def _drip(client: socket.socket) -> None:
    for _ in range(3000):
        client.sendall(b"X")
        time.sleep(0.01)


def test_a_client_that_drips_is_cut_however_much_it_drips(where: Where) -> None:
    with connect(where) as dripping:
        dripping.sendall(b"GET /status HTTP/1.1\r\n")
        with pytest.raises(ConnectionError):
            _drip(dripping)


def test_a_client_that_never_reads_is_cut(where: Where, latest: Latest) -> None:
    threads = tuple(replace(snapshot().threads[3], tid=5000 + n) for n in range(5_000))
    latest.snapshot = snapshot(threads=threads, beat_s=time.monotonic())
    whole = len(fetch(where, "/status").content)
    with socket.socket() as lazy:
        # What the kernel keeps for a reader, so that less need be told to fill it.
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.settimeout(PATIENCE_S)
        lazy.connect(where)
        lazy.sendall(b"GET /status HTTP/1.1\r\n\r\n")
        time.sleep(2 * LIMITS.deadline_s)
        assert len(read_all(lazy)) < whole


def test_whoever_speaks_is_served_among_many_who_hold_connections(where: Where) -> None:
    with ExitStack() as stack:
        for _ in range(10 * LIMITS.most_clients):
            stack.enter_context(connect(where)).sendall(b"GET /livez HTTP/1.1\r\n")
        assert [fetch(where, "/livez").status for _ in range(20)] == [200] * 20


def test_the_server_holds_no_more_connections_than_its_limit(where: Where) -> None:
    before = open_descriptors()
    with ExitStack() as stack:
        for _ in range(5 * LIMITS.most_clients):
            stack.enter_context(connect(where))
        assert fetch(where, "/livez").status == 200
        held = open_descriptors() - before - 5 * LIMITS.most_clients
    assert held <= LIMITS.most_clients


def test_a_thousand_hasty_clients_leave_nothing_behind(where: Where) -> None:
    before = held()
    for _ in range(1000):
        with connect(where) as client:
            client.send(b"GET /metrics HTTP/1.1\r\n")
    assert fetch(where, "/livez").status == 200
    wait_until(lambda: is_no_more_than(before), "the service has let go of them")
    assert fetch(where, "/livez").status == 200


def test_a_bug_in_a_page_is_said_and_does_not_end_the_service() -> None:
    def broken() -> Snapshot:
        raise ZeroDivisionError

    with serve_http("127.0.0.1:0", broken) as address:
        where = address.host, address.port
        assert [fetch(where, "/status").status for _ in range(2)] == [500, 500]


def test_counters_that_hang_hold_nobody_up_and_are_not_asked_twice() -> None:
    released, asked = threading.Event(), []

    def hang() -> Mapping[str, int]:
        asked.append(threading.current_thread())
        released.wait()
        return {"vcpu.0.exits.sum": 1}

    counters = ImpatientCounters(hang, wait_s=0.01)
    assert [counters(), counters(), counters()] == [{}, {}, {}]
    assert len(asked) == 1
    released.set()
    asked[0].join()
    assert dict(counters()) == {"vcpu.0.exits.sum": 1}


def test_counters_that_fail_are_left_out_of_the_metrics(latest: Latest) -> None:
    def fail() -> Mapping[str, int]:
        raise HypervisorError("stats: the domain is gone")

    with serve_http("127.0.0.1:0", latest, kvm_counters=fail) as address:
        reply = fetch((address.host, address.port), "/metrics")
    assert reply.status == 200
    assert b"virt_launcher_kvm_exits" not in reply.content


def test_counters_are_exported(latest: Latest) -> None:
    with serve_http("127.0.0.1:0", latest, kvm_counters=lambda: {"vcpu.3.exits.sum": 12}) as address:
        reply = fetch((address.host, address.port), "/metrics")
    assert b'virt_launcher_kvm_exits_total{vcpu="3"} 12.0\n' in reply.content
