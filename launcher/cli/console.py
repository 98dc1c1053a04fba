"""The verb `console`: this terminal attached to the guest's serial console."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import termios
import time
import tty
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from launcher.cli.output import complain
from launcher.cli.places import CONSOLE, QEMUS_CONSOLE, root_of
from launcher.errors import ExitStatus, HostError, HypervisorError
from launcher.sockets import SERVED, WAITING, states_of

# Standard input and output as the kernel numbers them: Python's own buffers would keep bytes back.
KEYBOARD = 0
SCREEN = 1
# Ctrl-], the way out that telnet, virsh and virtctl have.
LEAVE = b"\x1d"
# QEMU takes a connection within milliseconds.
SERVE_TIMEOUT_S = 2.0
_SERVE_INTERVAL_S = 0.02
_BUSY = "somebody is attached already, and QEMU serves one console at a time"
_READ_BYTES = 4096
# So much waits here while the guest does not read; beyond that the keyboard waits.
_MOST_UNSENT = 65536


def run(options: Namespace) -> ExitStatus:
    """Attach until the guest's end, Ctrl-], or the end of what was piped in; the terminal is always put back."""
    path, console = _open(options)
    with console:
        if os.isatty(KEYBOARD):
            complain(f"attached to {path}; Ctrl-] leaves")
        with _raw(KEYBOARD):
            attach(console, KEYBOARD, SCREEN)
    return ExitStatus.POWERED_OFF


def _open(options: Namespace) -> tuple[Path, socket.socket]:
    """Connect to the launcher, or where none is there just now to QEMU itself."""
    if options.socket:
        return Path(options.socket), _connect(Path(options.socket))
    folder = root_of(options) / "run"
    try:
        return folder / CONSOLE, _connect(folder / CONSOLE)
    except _NobodyListens:
        if not (folder / QEMUS_CONSOLE).exists():
            raise
    return folder / QEMUS_CONSOLE, _connect(folder / QEMUS_CONSOLE)


class _NobodyListens(HypervisorError):
    """There is no socket of this name, or nobody behind it."""


def _connect(path: Path) -> socket.socket:
    console = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Not to wait where others wait already: connect(2) then fails at once.
    console.settimeout(0.0)
    try:
        console.connect(str(path))
        _wait_until_served(path)
    except BlockingIOError:
        console.close()
        raise HypervisorError(f"{path}: {_BUSY}") from None
    except HypervisorError:
        console.close()
        raise
    except (FileNotFoundError, ConnectionRefusedError) as error:
        console.close()
        raise _NobodyListens(f"{path}: no guest listens there; --root or --socket says where its console is") from error
    except OSError as error:
        console.close()
        raise HypervisorError(f"{path}: {error}; --root or --socket says where its console is") from error
    return console


def _wait_until_served(path: Path) -> None:
    """Wait until QEMU has taken the connection; raises HypervisorError where it does not.

    It serves one console at a time and leaves the others in the socket's queue, where they look connected.
    """
    ends_s = time.monotonic() + SERVE_TIMEOUT_S
    while WAITING in (states := states_of(str(path.absolute()))):
        if time.monotonic() >= ends_s:
            reason = _BUSY if SERVED in states else f"QEMU does not answer within {SERVE_TIMEOUT_S:g} s"
            raise HypervisorError(f"{path}: {reason}")
        time.sleep(_SERVE_INTERVAL_S)


@contextmanager
def _raw(keyboard: int) -> Iterator[None]:
    """Hand every key over as it is, Ctrl-C too; and put the terminal back however this ends."""
    if not os.isatty(keyboard):
        yield
        return
    before = termios.tcgetattr(keyboard)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        tty.setraw(keyboard)
        yield
    finally:
        with suppress(termios.error):
            # At once: a terminal that was hung up, or stopped by Ctrl-S, is not waited for.
            termios.tcsetattr(keyboard, termios.TCSANOW, before)


def _leave(number: int, _frame: object) -> None:
    """End as by this signal, but not before the terminal is put back."""
    raise SystemExit(128 + number)


def attach(console: socket.socket, keyboard: int, screen: int) -> None:
    """Copy both ways until the guest hangs up or somebody leaves.

    Where the input is no terminal every byte goes to the guest, and after its end the guest is still shown.
    """
    # Not epoll, which refuses files.
    with selectors.SelectSelector() as selector:
        selector.register(console, selectors.EVENT_READ)
        selector.register(keyboard, selectors.EVENT_READ)
        attachment = _Attachment(console, keyboard, screen, selector)
        while attachment.turn():
            pass


class _Attachment:
    """A console, a keyboard and a screen: the keys that are not sent yet, and whether more can come."""

    def __init__(self, console: socket.socket, keyboard: int, screen: int, selector: selectors.BaseSelector) -> None:
        self._console = console
        self._keyboard = keyboard
        self._screen = screen
        self._selector = selector
        self._unsent = b""
        self._has_ended = False

    def turn(self) -> bool:
        """Copy what is ready; False at the end."""
        ready = {key.fd: events for key, events in self._selector.select()}
        console_events = ready.get(self._console.fileno(), 0)
        try:
            if console_events & selectors.EVENT_READ and not self._show():
                return False
            if self._keyboard in ready and not self._type():
                return False
            if self._unsent:
                self._send()
        except ConnectionError:
            return False
        self._choose()
        return True

    def _choose(self) -> None:
        """Wait for the guest to read while something is unsent, and for no more keys while much is."""
        self._selector.modify(self._console, selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0))
        is_listening = self._keyboard in self._selector.get_map()
        may_listen = not self._has_ended and len(self._unsent) < _MOST_UNSENT
        if may_listen and not is_listening:
            self._selector.register(self._keyboard, selectors.EVENT_READ)
        elif is_listening and not may_listen:
            self._selector.unregister(self._keyboard)

    def _show(self) -> bool:
        """Show what the guest says; False where it has hung up."""
        try:
            said = self._console.recv(_READ_BYTES)
        except BlockingIOError:
            return True
        left = memoryview(said)
        try:
            while left:
                left = left[os.write(self._screen, left) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise HostError(f"standard output: {error.strerror}") from error
        return bool(said)

    def _type(self) -> bool:
        """Take what was typed; False where somebody leaves."""
        try:
            keys = os.read(self._keyboard, _READ_BYTES)
        except OSError:
            # The terminal has been closed.
            keys = b""
        if not keys:
            self._has_ended = True
            return not os.isatty(self._keyboard)
        if os.isatty(self._keyboard) and LEAVE in keys:
            return False
        self._unsent += keys
        return True

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[self._console.send(self._unsent) :]
        except BlockingIOError:
            return
