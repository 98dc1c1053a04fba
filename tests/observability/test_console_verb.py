"""The verb `console`: a real process on a real terminal, and with pipes, against a serial console's socket."""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.observability.clients import PATIENCE_S, read_all

HERE = Path(__file__).parent.parent.parent


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[socket.socket]:
    """The listening end of a serial console, as QEMU has it."""
    with socket.socket(socket.AF_UNIX) as server:
        server.settimeout(PATIENCE_S)
        server.bind(str(tmp_path / "serial"))
        server.listen()
        yield server


def _console(tmp_path: Path, stdin: int, stdout: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "launcher", "console", "--socket", str(tmp_path / "serial")]
    return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, cwd=HERE)


def _accept(guest: socket.socket) -> socket.socket:
    serial, _address = guest.accept()
    serial.settimeout(PATIENCE_S)
    return serial


def _read(descriptor: int, wanted: bytes) -> bytes:
    """Read from a terminal until these bytes have come."""
    found = b""
    while wanted not in found:
        ready, _, _ = select.select([descriptor], [], [], PATIENCE_S)
        assert ready, f"{wanted!r} did not come, only {found!r}"
        found += os.read(descriptor, 4096)
    return found


def _receive(serial: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        chunk = serial.recv(count - len(found))
        assert chunk, found
        found += chunk
    return found


def test_keys_go_over_raw_and_ctrl_bracket_leaves_and_puts_the_terminal_back(
    tmp_path: Path, guest: socket.socket
) -> None:
    keyboard, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    with _console(tmp_path, terminal, terminal) as console, _accept(guest) as serial:
        serial.sendall(b"login: ")
        _read(keyboard, b"login: ")
        assert not termios.tcgetattr(terminal)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)
        os.write(keyboard, b"a\x03\x04\x1b[A")
        assert _receive(serial, 6) == b"a\x03\x04\x1b[A", "Ctrl-C and Ctrl-D are the guest's"
        os.write(keyboard, b"\x1d")
        assert console.wait(PATIENCE_S) == 0
    assert termios.tcgetattr(terminal) == before
    os.close(keyboard)
    os.close(terminal)


def test_the_guest_s_end_ends_it_and_puts_the_terminal_back(tmp_path: Path, guest: socket.socket) -> None:
    keyboard, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    with _console(tmp_path, terminal, terminal) as console:
        with _accept(guest) as serial:
            serial.sendall(b"bye")
        assert console.wait(PATIENCE_S) == 0
    assert b"bye" in _read(keyboard, b"bye")
    assert termios.tcgetattr(terminal) == before
    os.close(keyboard)
    os.close(terminal)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_puts_the_terminal_back(number: signal.Signals, tmp_path: Path, guest: socket.socket) -> None:
    keyboard, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    with _console(tmp_path, terminal, terminal) as console, _accept(guest) as serial:
        serial.sendall(b"x")
        _read(keyboard, b"x")
        console.send_signal(number)
        assert console.wait(PATIENCE_S) == 128 + number
    assert termios.tcgetattr(terminal) == before
    os.close(keyboard)
    os.close(terminal)


def test_a_pipe_is_sent_whole_and_the_guest_is_shown_to_its_end(tmp_path: Path, guest: socket.socket) -> None:
    typed = bytes(range(256)) * 1000
    with _console(tmp_path, subprocess.PIPE, subprocess.PIPE) as console:
        assert console.stdin is not None
        assert console.stdout is not None
        with _accept(guest) as serial:
            console.stdin.write(typed)
            console.stdin.close()
            assert _receive(serial, len(typed)) == typed, "in a pipe Ctrl-] is a byte like any other"
            serial.sendall(b"\x1b[31m\xff\x00 done\n")
        assert console.stdout.read() == b"\x1b[31m\xff\x00 done\n"
        assert console.wait(PATIENCE_S) == 0


def test_an_empty_input_follows_the_guest(tmp_path: Path, guest: socket.socket) -> None:
    with _console(tmp_path, subprocess.DEVNULL, subprocess.PIPE) as console:
        assert console.stdout is not None
        with _accept(guest) as serial:
            serial.sendall(b"a" * 100_000)
        assert len(console.stdout.read()) == 100_000
        assert console.wait(PATIENCE_S) == 0


def test_a_file_is_an_input_too(tmp_path: Path, guest: socket.socket) -> None:
    (tmp_path / "typed").write_bytes(b"root\n")
    with (tmp_path / "typed").open("rb") as typed, _console(tmp_path, typed.fileno(), subprocess.PIPE) as console:
        with _accept(guest) as serial:
            assert _receive(serial, 5) == b"root\n"
        assert console.wait(PATIENCE_S) == 0


def test_a_reader_that_goes_away_ends_it(tmp_path: Path, guest: socket.socket) -> None:
    with _console(tmp_path, subprocess.DEVNULL, subprocess.PIPE) as console:
        assert console.stdout is not None
        with _accept(guest) as serial:
            console.stdout.close()
            serial.sendall(b"x" * 10)
            assert console.wait(PATIENCE_S) == 0
            assert read_all(serial) == b""


def test_a_second_console_is_refused_in_one_line_while_the_first_is_attached(
    tmp_path: Path, guest: socket.socket
) -> None:
    with _console(tmp_path, subprocess.PIPE, subprocess.PIPE) as first, _accept(guest) as serial:
        second = _console(tmp_path, subprocess.PIPE, subprocess.PIPE)
        _said, error = second.communicate(timeout=PATIENCE_S)
        assert second.returncode == 7
        assert error.decode().splitlines() == [
            f"virt-launcher: {tmp_path}/serial: somebody is attached already, and QEMU serves one console at a time"
        ]
        serial.sendall(b"still here\n")
        assert first.stdout is not None
        assert first.stdout.readline() == b"still here\n"
        assert first.stdin is not None
        first.stdin.close()


def test_a_console_that_nobody_serves_any_more_is_refused_in_one_line(tmp_path: Path, guest: socket.socket) -> None:
    console = _console(tmp_path, subprocess.PIPE, subprocess.PIPE)
    _said, error = console.communicate(timeout=PATIENCE_S)
    assert console.returncode == 7
    assert error.decode().splitlines() == [f"virt-launcher: {tmp_path}/serial: QEMU does not answer within 2 s"]
