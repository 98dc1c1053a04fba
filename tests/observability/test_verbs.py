"""The verbs that speak to a running launcher: what they print, how they end, and what they leave behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from launcher.cli import main
from launcher.cli.status import vcpu_cpus
from launcher.cpuset import CPUSet
from launcher.observe.control import serve_control
from launcher.observe.schedstat import ThreadTimes
from launcher.observe.status import status_document
from launcher.observe.status_text import Change, status_text
from launcher.observe.strangers import Sighting, Stranger
from launcher.observe.text import columns
from launcher.observe.view import StatusView, read_status
from launcher.supervise.commands import Command
from launcher.supervise.lifecycle import Phase
from launcher.supervise.snapshot import Snapshot
from tests.goldens import assert_golden
from tests.observability.snapshots import TEN_O_CLOCK, drifted, snapshot

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


@contextmanager
def _launcher(root: Path, seen: Snapshot | None, refusal: str = "") -> Iterator[list[Command]]:
    """Serve the control socket of a launcher over this root; yields the commands that came."""
    commands: list[Command] = []

    def post(command: Command) -> str:
        commands.append(command)
        return refusal

    with serve_control(root / "run/control.sock", lambda: seen, post):
        yield commands


def _view(seen: Snapshot, *, ran_s: float = 10.0, waited_s: float = 1.0) -> StatusView:
    times = {
        thread.tid: ThreadTimes(last_cpu=thread.cpus.lowest, ran_s=ran_s + number, waited_s=waited_s * number)
        for number, thread in enumerate(seen.threads)
    }
    document = status_document(seen, now=TEN_O_CLOCK, thread_times=times)
    return read_status(json.dumps(document).encode())


COMMANDS = [command for command in Command if command is not Command.STATUS]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_reaches_the_launcher(command: Command, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with _launcher(root, snapshot()) as commands:
        assert main([command, "--root", str(root)]) == 0
    assert commands == [command]
    assert capsys.readouterr() == ("", "")


def test_a_refused_command_says_why_in_one_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with _launcher(root, snapshot(), refusal="the guest is shutting down"):
        assert main(["reset", "--root", str(root)]) == 7
    assert capsys.readouterr().err == "virt-launcher: reset: refused: the guest is shutting down\n"


@pytest.mark.parametrize("verb", [*Command, "console"])
def test_without_a_launcher_there_is_one_line(verb: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--root", str(root)]) == 7
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"virt-launcher: {root}/run/")


def test_a_launcher_that_is_gone_and_left_its_socket_is_one_line(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(root / "c"))
    dead.close()
    assert main(["status", "--control", str(root / "c")]) == 7
    assert "no launcher listens there" in capsys.readouterr().err


ANSWERS = {
    "nothing": b"",
    "no JSON": b"220 mail ready\n",
    "another JSON": b'["ok"]\n',
    "a status of another shape": b'{"ok": true, "status": {"phase": 7}}\n',
    "no status": b'{"ok": true}\n',
    "a status that is nested deeper than Python goes": b'{"ok": true, "status": ' + b"[" * 200_000,
    "an answer without an end": b" " * (17 << 20),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_of_something_else_is_one_line(answer: bytes, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import contextlib, socket, sys\n"
        "answer = sys.stdin.buffer.read()\n"
        "server = socket.socket(socket.AF_UNIX)\n"
        "server.bind(sys.argv[1])\n"
        "server.listen()\n"
        "print(flush=True)\n"
        "client, _ = server.accept()\n"
        "client.recv(100)\n"
        "with contextlib.suppress(BrokenPipeError):\n"
        "    client.sendall(answer)\n"
    )
    command = [sys.executable, "-S", "-c", code, str(root / "c")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write(answer)
        other.stdin.close()
        other.stdout.readline()
        assert main(["status", "--control", str(root / "c")]) == 7
    (line,) = capsys.readouterr().err.splitlines()
    assert ("longer than 16 MiB" in line) == (answer is ANSWERS["an answer without an end"])


def test_the_status_for_programs_is_the_document(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with _launcher(root, snapshot()):
        assert main(["status", "--root", str(root), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["uuid"] == snapshot().uuid


def test_the_status_before_the_guest_says_so(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with _launcher(root, None):
        assert main(["status", "--root", str(root)]) == 0
    assert "Starting: the guest is not started yet" in capsys.readouterr().out


SEEN = {
    "running": snapshot(),
    "drifted": drifted(),
    "paused": snapshot(phase=Phase.PAUSED, paused_reason="I/O error"),
}


@pytest.mark.parametrize("name", SEEN)
def test_the_status_for_people_is_the_golden_one(name: str) -> None:
    assert_golden(GOLDEN / f"status-{name}.txt", status_text(_view(SEEN[name]), colour=False))


def _change() -> Change:
    program = Sighting(pid=99, tid=100, name="evil\x1b[2J", cpu=5, is_kernel=False, ran_s=3.0)
    kernel = Sighting(pid=7, tid=7, name="ksoftirqd/1", cpu=1, is_kernel=True, ran_s=None)
    strangers = (Stranger(sighting=program, ran_s=0.5), Stranger(sighting=kernel, ran_s=None))
    return Change(seconds=2.0, before=_view(snapshot(), ran_s=9.0, waited_s=0.75), strangers=strangers)


@pytest.mark.parametrize("colour", [False, True])
def test_the_live_status_is_the_golden_one(*, colour: bool) -> None:
    assert_golden(
        GOLDEN / f"status-live{'-colour' * colour}.txt", status_text(_view(snapshot()), colour=colour, change=_change())
    )


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for seen in SEEN.values():
        text = status_text(_view(seen), width=width, colour=False, change=_change())
        assert max(map(columns, text.splitlines())) <= width
        assert "\x1b" not in text


def test_what_another_program_behind_the_socket_says_does_not_steer_the_terminal() -> None:
    view = _view(snapshot())
    evil = "\x1b[2J"
    thread = replace(view.threads[0], name=evil, role=evil, planned=evil, actual=evil)
    text = status_text(replace(view, phase=evil, name=evil, threads=(thread,)), width=200, colour=False)
    assert ("\x1b" in text, text.count(r"\x1b[2J") >= 5) == (False, True)


def test_who_waits_longest_comes_first_in_the_live_status() -> None:
    text = status_text(_view(snapshot()), colour=False, change=_change())
    tids = [line.split()[0] for line in text.splitlines() if line[:2] == "47"]
    assert tids == ["4719", "4718", "4715", "4712", "4711"]


def test_a_small_terminal_shows_the_first_threads_and_says_how_many_more() -> None:
    text = status_text(_view(snapshot()), colour=False, most_threads=2)
    assert "... and 3 more threads\n5 threads: 5 verified\n" in text


def test_only_cpus_promised_to_a_vcpu_are_watched_for_strangers() -> None:
    assert vcpu_cpus(_view(snapshot())) == CPUSet.parse("1,5")
    undedicated = replace(snapshot().pinning, vcpus=())
    assert vcpu_cpus(_view(snapshot(pinning=undedicated))) == CPUSet()


def _watch(root: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "launcher", "status", "--watch", "--root", str(root), *more]
    here = Path(__file__).parent.parent.parent
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=here)


def test_the_watch_goes_on_until_the_launcher_ends(root: Path) -> None:
    with _launcher(root, snapshot(pid=os.getpid())):
        watch = _watch(root)
        assert watch.stdout is not None
        for line in watch.stdout:
            if "nobody else seen" in line or "ran on the vCPUs' CPUs" in line:
                break
    out, err = watch.communicate(timeout=60)
    assert (watch.returncode, out.splitlines()[-2:], err) == (0, ["the launcher has ended", ""], "")


def test_a_launcher_that_stops_answering_is_not_said_to_have_ended(root: Path) -> None:
    hangs, goes_on = threading.Event(), threading.Event()

    def latest() -> Snapshot:
        if hangs.is_set():
            goes_on.wait(60)
        return snapshot(pid=os.getpid())

    with serve_control(root / "run/control.sock", latest, lambda _command: ""):
        watch = _watch(root)
        assert watch.stdout is not None
        watch.stdout.readline()
        hangs.set()
        out, err = watch.communicate(timeout=60)
        goes_on.set()
    words = f"virt-launcher: {root}/run/control.sock: the launcher does not answer within 5 s\n"
    assert (watch.returncode, err) == (7, words)
    assert "has ended" not in out


def test_the_watch_ends_in_peace_with_ctrl_c(root: Path) -> None:
    with _launcher(root, snapshot()):
        watch = _watch(root, "--format", "json")
        assert watch.stdout is not None
        assert json.loads(watch.stdout.readline())["name"] == "db"
        watch.send_signal(signal.SIGINT)
        _out, err = watch.communicate(timeout=60)
    assert (watch.returncode, err) == (0, "")


def test_the_watch_itself_keeps_off_the_vcpus_cpus(root: Path) -> None:
    first, second = sorted(os.sched_getaffinity(0))[:2]
    pinning = replace(snapshot().pinning, vcpus=tuple(replace(pin, cpu=first) for pin in snapshot().pinning.vcpus[:1]))
    with _launcher(root, snapshot(pinning=pinning, vcpus=1)):
        watch = _watch(root, "--format", "json")
        assert watch.stdout is not None
        watch.stdout.readline()
        deadline = time.monotonic() + 30
        while first in os.sched_getaffinity(watch.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        allowed = os.sched_getaffinity(watch.pid)
        watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=60)
    assert first not in allowed
    assert second in allowed
