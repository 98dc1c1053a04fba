"""The guest's own probes: real servers in the guest's place, an agent's answers, and the pages that tell."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from launcher.errors import HypervisorError
from launcher.observe.guest_probe import GuestCheck
from launcher.observe.http import GuestChecks, serve_http
from launcher.supervise.lifecycle import Phase
from launcher.vmi.guest_machine import AgentExec, AgentPing, GuestProbe, HTTPRequest, TCPConnection
from tests.faults.places import wait_until
from tests.observability.clients import fetch
from tests.observability.snapshots import snapshot


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        wanted = self.path == "/health?x=1" and self.headers["X-Probe"] == "1"
        self.send_response(302 if wanted else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own word
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def no_agent(_command: str, _timeout_s: int) -> str:
    raise HypervisorError("the guest's agent is not connected")


def outcome(probe: GuestProbe, ask_agent: object = no_agent) -> str | None:
    """Return what the probe found once it has been made."""
    check = GuestCheck(probe, ask_agent)  # type: ignore[arg-type]  # a function of two arguments
    assert check.fault() == "it has not been asked yet"
    wait_until(lambda: not check._thread.is_alive(), "the look is over")  # type: ignore[union-attr]
    return check.fault()


def test_a_request_is_good_up_to_a_redirection_and_bad_beyond(port: int) -> None:
    good = HTTPRequest(port=port, path="/health?x=1", headers=(("X-Probe", "1"),))
    assert outcome(GuestProbe(ask=good)) is None
    assert outcome(GuestProbe(ask=HTTPRequest(port=port, path="other"))) == "status 503"


def test_a_connection_is_good_where_somebody_listens(port: int) -> None:
    assert outcome(GuestProbe(ask=TCPConnection(port=port))) is None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found = outcome(GuestProbe(ask=TCPConnection(port=free.getsockname()[1])))
    assert "Connection refused" in str(found)


def test_a_server_that_says_nothing_has_so_long_and_no_longer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = outcome(GuestProbe(ask=HTTPRequest(port=silent.getsockname()[1]), timeout_s=1))
    assert found == "timed out"


def test_a_server_of_something_else_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            connection, _ = other.accept()
            connection.sendall(b"220 mail\r\n")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        found = outcome(GuestProbe(ask=HTTPRequest(port=other.getsockname()[1])))
    assert str(found).startswith("no answer of HTTP: ")


def test_the_agent_is_asked_for_a_word() -> None:
    asked = []

    def agent(command: str, timeout_s: int) -> str:
        asked.append((json.loads(command), timeout_s))
        return '{"return": {}}'

    assert outcome(GuestProbe(ask=AgentPing(), timeout_s=7), agent) is None
    assert set(map(str, asked)) == {str(({"execute": "guest-ping"}, 7))}
    assert outcome(GuestProbe(ask=AgentPing())) == "the guest's agent is not connected"


ENDS = [
    ("well", {"exited": True, "exitcode": 0}, None),
    ("badly", {"exited": True, "exitcode": 3}, "exit status 3"),
    ("by_a_signal", {"exited": True, "signal": 9}, "killed by signal 9"),
    ("never", {"exited": False}, "'/bin/true' has not ended after 1 s"),
]


@pytest.mark.parametrize(("state", "wanted"), [row[1:] for row in ENDS], ids=[row[0] for row in ENDS])
def test_a_command_that_the_agent_runs_ends(state: dict[str, object], wanted: str | None) -> None:
    asked = []

    def agent(command: str, _timeout_s: int) -> str:
        asked.append(json.loads(command))
        return json.dumps({"return": {"pid": 42} if asked[-1]["execute"] == "guest-exec" else state})

    assert outcome(GuestProbe(ask=AgentExec(command=("/bin/true", "-x"))), agent) == wanted
    assert asked[0]["arguments"] == {"path": "/bin/true", "arg": ["-x"], "capture-output": False}
    assert asked[1] == {"execute": "guest-exec-status", "arguments": {"pid": 42}}


def test_an_agent_that_answers_nonsense_is_a_fault_and_no_bug() -> None:
    assert outcome(GuestProbe(ask=AgentExec(command=("x",))), lambda _command, _timeout_s: "{}") is not None


def test_the_pages_tell_the_launchers_own_state_first_and_then_the_guests() -> None:
    faults: dict[str, str | None] = {"ready": "status 503", "alive": None}
    now = snapshot(beat_s=time.monotonic())
    checks = GuestChecks(readiness=lambda: faults["ready"], liveness=lambda: faults["alive"])
    state = {"snapshot": now}
    with serve_http("127.0.0.1:0", lambda: state["snapshot"], checks=checks) as address:
        where = (address.host, address.port)
        assert fetch(where, "/readyz").status == 200
        reply = fetch(where, "/readyz/guest")
        assert (reply.status, reply.content) == (503, b"the guest's readinessProbe: status 503\n")
        assert fetch(where, "/livez/guest").status == 200
        faults |= {"ready": None, "alive": "timed out"}
        assert fetch(where, "/readyz/guest").status == 200
        assert fetch(where, "/livez/guest").content == b"the guest's livenessProbe: timed out\n"
        # A guest that stands still on purpose is not asked whether it lives.
        state["snapshot"] = replace(now, phase=Phase.PAUSED)
        assert fetch(where, "/livez/guest").status == 200


def test_a_server_that_answers_byte_by_byte_for_ever_has_failed_when_its_time_is_over() -> None:
    is_over = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _address = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not is_over.wait(0.2):
                connection.sendall(b"X-Header: more\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        dripping = threading.Thread(target=drip, args=(listener,), daemon=True)
        dripping.start()
        probe = GuestProbe(ask=HTTPRequest(port=listener.getsockname()[1], path="/"), timeout_s=1)
        check = GuestCheck(probe, no_agent)
        assert check.fault() == "it has not been asked yet"
        wait_until(lambda: check.fault() == "no answer within 1 s", "it is overdue")
        is_over.set()
        dripping.join(20)
    wait_until(lambda: check.fault() is None or "answer" not in str(check.fault()), "it is asked anew")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("[" * 200_000, id="nested for ever"),
        pytest.param("no JSON" * 100_000, id="a long text"),
        pytest.param('{"return": {"pid": 1, "exited": true, "signal": "' + "x" * 100_000 + '"}}', id="a long signal"),
        pytest.param('{"return": {"pid": 1, "exited": true, "exitcode": [' + "1," * 9_999 + "1]}}", id="a long status"),
        pytest.param('{"return": []}', id="a list"),
        pytest.param("7", id="a number"),
    ],
)
def test_whatever_an_agent_answers_is_a_short_fault(answer: str) -> None:
    fault = outcome(GuestProbe(ask=AgentExec(command=("true",))), lambda _command, _timeout_s: answer)
    assert fault is not None
    assert len(fault) <= 300


def test_the_words_of_an_agents_error_are_bounded() -> None:
    def refuse(_command: str, _timeout_s: int) -> str:
        raise HypervisorError("agent of db: " + "x" * 1_000_000)

    fault = outcome(GuestProbe(ask=AgentPing()), refuse)
    assert fault is not None
    assert len(fault) == 300
