"""The control socket: its file, its commands, and clients that mean harm or do nothing."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from launcher.errors import HypervisorError, UsageError
from launcher.observe.bounded import Limits
from launcher.observe.control import parse_request, serve_control
from launcher.supervise.commands import Command
from tests.faults.places import wait_until
from tests.observability.clients import connect, exchange, held, is_no_more_than, read_all
from tests.observability.snapshots import snapshot

LIMITS = Limits(most_clients=8, request_bytes=65536, deadline_s=0.5)
STATUS = b'{"command": "status"}\n'


class Posted:
    """What a supervisor would have been told; it refuses what it is told to refuse."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.refusal = ""

    def __call__(self, command: Command) -> str:
        self.commands.append(command)
        return self.refusal


@pytest.fixture
def posted() -> Posted:
    return Posted()


@pytest.fixture
def path(tmp_path: Path, posted: Posted) -> Iterator[Path]:
    """The socket of a running launcher."""
    with serve_control(tmp_path / "control.sock", snapshot, posted, limits=LIMITS):
        yield tmp_path / "control.sock"


def _ask(path: Path, request: bytes) -> dict[str, object]:
    answer = exchange(path, request)
    assert answer.endswith(b"\n")
    document = json.loads(answer)
    assert isinstance(document, dict)
    return document


def test_the_socket_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path, posted: Posted) -> None:
    before = os.umask(0)
    try:
        with serve_control(tmp_path / "c", snapshot, posted):
            assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_the_folder_is_made_and_is_its_owner_s(tmp_path: Path, posted: Posted) -> None:
    with serve_control(tmp_path / "root/run/c", snapshot, posted):
        assert stat.S_IMODE((tmp_path / "root/run").stat().st_mode) == 0o700


def test_the_socket_is_gone_at_the_end(tmp_path: Path, posted: Posted) -> None:
    with serve_control(tmp_path / "c", snapshot, posted):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_status_is_answered_from_the_snapshot(path: Path, posted: Posted) -> None:
    answer = _ask(path, STATUS)
    assert answer["ok"] is True
    assert isinstance(answer["status"], dict)
    assert answer["status"]["name"] == "db"
    assert posted.commands == []


@pytest.mark.parametrize("command", [command for command in Command if command is not Command.STATUS])
def test_a_command_is_handed_over(command: Command, path: Path, posted: Posted) -> None:
    assert _ask(path, json.dumps({"command": command}).encode() + b"\n") == {"ok": True}
    assert posted.commands == [command]


def test_a_command_that_is_refused_says_why(path: Path, posted: Posted) -> None:
    posted.refusal = "the guest is shutting down"
    assert _ask(path, b'{"command": "pause"}\n') == {"ok": False, "error": "the guest is shutting down"}


WRONG = {
    "an empty line": b"\n",
    "no JSON": b"status\n",
    "half of JSON": b'{"command": \n',
    "a list": b'["status"]\n',
    "a number": b"1\n",
    "an object without a command": b"{}\n",
    "a command that is a number": b'{"command": 1}\n',
    "a command that is a list": b'{"command": ["status"]}\n',
    "a command that nobody knows": b'{"command": "destroy"}\n',
    "a command in capitals": b'{"command": "STATUS"}\n',
    "bytes that are no text": b"\xff\xfe\x00\n",
    "JSON nested too deeply": b"[" * 60000 + b"\n",
    "a number too long": b"9" * 60000 + b"\n",
    "an escape for a terminal": b'{"command": "\x1b[2J"}\n',
}


@pytest.mark.parametrize("request_", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_refused_in_one_harmless_line(request_: bytes, path: Path, posted: Posted) -> None:
    answer = _ask(path, request_)
    assert answer["ok"] is False
    error = answer["error"]
    assert isinstance(error, str)
    assert error.isascii()
    assert error.isprintable()
    assert len(error) < 400
    assert posted.commands == []


def test_a_request_that_is_too_long_is_refused(path: Path) -> None:
    assert _ask(path, b'{"command": "status", "x": "' + b"a" * 300_000 + b'"}\n') == {
        "ok": False,
        "error": "the request is too long",
    }


def test_only_the_first_line_of_a_connection_counts(path: Path, posted: Posted) -> None:
    _ask(path, b'{"command": "pause"}\n{"command": "reset"}\n')
    assert posted.commands == [Command.PAUSE]


def test_a_request_in_pieces_is_one_request(path: Path) -> None:
    with connect(path) as client:
        for byte in STATUS:
            client.sendall(bytes([byte]))
        assert json.loads(read_all(client))["ok"] is True


def test_a_client_that_hangs_up_before_the_answer_harms_nobody(path: Path) -> None:
    for _ in range(100):
        with connect(path) as client:
            client.sendall(STATUS)
    assert _ask(path, STATUS)["ok"] is True


def test_a_thousand_clients_that_never_read_hold_nobody_up(path: Path) -> None:
    with ExitStack() as stack:
        for number in range(1000):
            stack.enter_context(connect(path)).sendall(STATUS)
            if number % 100 == 0:
                assert _ask(path, STATUS)["ok"] is True
        assert _ask(path, STATUS)["ok"] is True


def test_a_thousand_silent_clients_hold_nobody_up_and_leave_nothing_behind(path: Path) -> None:
    before = held()
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(connect(path))
        assert [_ask(path, STATUS)["ok"] for _ in range(20)] == [True] * 20
    wait_until(lambda: is_no_more_than(before), "the service has let go of them")
    assert _ask(path, STATUS)["ok"] is True


def test_garbage_from_many_sides_leaves_the_service_alive(path: Path, posted: Posted) -> None:
    for seed in range(300):
        noise = bytes((seed * 7 + n * n) % 256 for n in range(seed))
        with connect(path) as client:
            client.sendall(noise)
    assert _ask(path, STATUS)["ok"] is True
    assert posted.commands == []


AS_NOBODY = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
try:
    client.sendall(b'{"command": "shutdown"}\\n')
    print(client.recv(100))
except ConnectionError:
    print(b'')
"""


def test_a_client_of_another_user_is_cut_even_where_the_file_lets_it_in(posted: Posted) -> None:
    """Only root can make a client of another user; anybody else sees that the file keeps others out."""
    with tempfile.TemporaryDirectory(prefix="vl-", dir="/tmp") as folder:
        path = Path(folder) / "c"
        with serve_control(path, snapshot, posted):
            if os.geteuid() != 0:
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
                return
            path.parent.chmod(0o755)
            path.chmod(0o666)
            command = [sys.executable, "-S", "-c", AS_NOBODY, str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, posted.commands) == ("b''\n", [])


def test_the_socket_of_a_dead_launcher_is_replaced(tmp_path: Path, posted: Posted) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "c"))
    dead.listen()
    dead.close()
    with serve_control(tmp_path / "c", snapshot, posted):
        assert _ask(tmp_path / "c", STATUS)["ok"] is True


def test_what_a_launcher_killed_between_two_steps_left_is_replaced(tmp_path: Path, posted: Posted) -> None:
    half = socket.socket(socket.AF_UNIX)
    half.bind(str(tmp_path / "c.new"))
    half.close()
    with serve_control(tmp_path / "c", snapshot, posted):
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["c"]


def test_a_living_launcher_s_socket_is_left_alone(path: Path, posted: Posted) -> None:
    with pytest.raises(HypervisorError, match="another launcher listens there"), serve_control(path, snapshot, posted):
        pass
    assert _ask(path, STATUS)["ok"] is True


def test_a_stopped_launcher_s_socket_is_left_alone(tmp_path: Path, posted: Posted) -> None:
    """Nobody accepts, and the queue of the socket is full."""
    with socket.socket(socket.AF_UNIX) as stopped, ExitStack() as stack:
        stopped.bind(str(tmp_path / "c"))
        stopped.listen(0)
        for _ in range(2):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            client.connect_ex(str(tmp_path / "c"))
        with pytest.raises(HypervisorError, match="listens there"), serve_control(tmp_path / "c", snapshot, posted):
            pass


def test_a_file_in_its_place_is_left_alone(tmp_path: Path, posted: Posted) -> None:
    (tmp_path / "c").write_text("mine")
    with pytest.raises(HypervisorError, match="it is not a socket"), serve_control(tmp_path / "c", snapshot, posted):
        pass
    assert (tmp_path / "c").read_text() == "mine"


def test_a_successor_s_socket_is_not_removed(tmp_path: Path, posted: Posted) -> None:
    with serve_control(tmp_path / "c", snapshot, posted):
        (tmp_path / "c").unlink()
        (tmp_path / "c").write_text("the successor's")
    assert (tmp_path / "c").exists()


PLACES = {
    "a file where the folder should be": ("file/c", HypervisorError, "control socket: File exists"),
    "a path that is too long": ("x" * 120, UsageError, "may have 103 bytes"),
}


@pytest.mark.parametrize(("name", "error", "words"), PLACES.values(), ids=PLACES)
def test_a_place_that_cannot_be_is_one_line(
    name: str, error: type[Exception], words: str, tmp_path: Path, posted: Posted
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(error, match=words) as caught, serve_control(tmp_path / name, snapshot, posted):
        pass
    assert "\n" not in str(caught.value)


def test_a_word_beside_the_command_is_refused_and_named() -> None:
    with pytest.raises(ValueError, match=r"'grace' and 'now' are not known: wanted \{\"command\": WORD\} alone"):
        parse_request(b'{"now": true, "command": "shutdown", "grace": 5}')


@pytest.mark.parametrize("command", Command)
def test_every_command_is_read_back(command: Command) -> None:
    assert parse_request(json.dumps({"command": command}).encode()) is command
