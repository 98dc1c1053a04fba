"""The bridge to the guest's serial port: what the guest says is logged and shown, and one person at a time may attach.

QEMU serves one connection, and drops what the guest says while there is none: it waits for nobody, then. So the
launcher connects only where the console is to be logged or somebody is attached, and always takes what comes.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

# How often is looked for a QEMU that does not listen yet, or whose connection is somebody else's.
CONNECT_INTERVAL_S = 0.2
# What a person types waits here for the guest, and what the guest says for a terminal that is not read.
MOST_UNSENT_BYTES = 64 * 1024
MOST_UNSHOWN_BYTES = 256 * 1024
# A guest writes byte by byte: the first one wakes the bridge, which then lets some more come.
GATHER_S = 0.02
_READ_BYTES = 64 * 1024
STOP_TIMEOUT_S = 2.0


class ConsoleBridge:
    """Connects the serial port with those who listen, in a thread of its own."""

    def __init__(self, *, port: str, door: str, on_data: Callable[[bytes], None] | None) -> None:
        """Prepare to connect QEMU's socket `port` with who attaches at `door`, and `on_data` with all that comes."""
        self._port = port
        self._door = door
        self._on_data = on_data
        self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._qemu: socket.socket | None = None
        self._person: socket.socket | None = None
        self._unsent = b""
        self._unshown = b""
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)

    def start(self) -> None:
        """Listen, and connect before the guest says its first word; raises OSError where the door cannot be made."""
        with suppress(FileNotFoundError):
            os.unlink(self._door)  # noqa: PTH108 - paths stay text
        self._listener.bind(self._door)
        os.chmod(self._door, 0o600)  # noqa: PTH101 - likewise
        self._listener.listen(1)
        self._listener.settimeout(0.0)
        self._selector.register(self._stop, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._connect()
        self._thread.start()

    def stop(self) -> None:
        """Take what the guest has said last, and end."""
        os.eventfd_write(self._stop, 1)
        self._thread.join(timeout=STOP_TIMEOUT_S)

    def _run(self) -> None:
        while self._turn():
            pass
        self._take_rest()
        for one in (self._qemu, self._person, self._listener):
            if one is not None:
                one.close()
        with suppress(OSError):
            os.unlink(self._door)  # noqa: PTH108 - paths stay text

    def _turn(self) -> bool:
        """Wait for something to do, and do it; False at the end."""
        waits = self._is_wanted() and self._qemu is None
        ready = {key.fileobj: mask for key, mask in self._selector.select(CONNECT_INTERVAL_S if waits else None)}
        if self._stop in ready:
            return False
        if self._listener in ready:
            self._let_in()
        if self._person is not None and self._person in ready:
            self._serve(self._person, ready[self._person])
        if self._qemu is not None and self._qemu in ready:
            self._listen(self._qemu, ready[self._qemu])
        self._connect()
        self._choose()
        return True

    def _is_wanted(self) -> bool:
        return self._on_data is not None or self._person is not None or bool(self._unsent)

    def _connect(self) -> None:
        """Connect where it is wanted, and let go where it is not any more."""
        if self._qemu is not None:
            if not self._is_wanted():
                self._hang_up(self._qemu)
            return
        if not self._is_wanted():
            return
        qemu = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        qemu.settimeout(0.0)
        try:
            qemu.connect(self._port)
        except OSError:
            qemu.close()
            return
        self._qemu = qemu
        self._selector.register(qemu, selectors.EVENT_READ)

    def _let_in(self) -> None:
        try:
            self._person, _address = self._listener.accept()
        except OSError:
            return
        self._person.settimeout(0.0)
        self._selector.register(self._person, selectors.EVENT_READ)
        # Whoever comes next waits at the door.
        self._selector.unregister(self._listener)

    def _serve(self, person: socket.socket, mask: int) -> None:
        try:
            if mask & selectors.EVENT_WRITE:
                self._unshown = self._unshown[person.send(self._unshown) :]
            typed = person.recv(_READ_BYTES) if mask & selectors.EVENT_READ else None
        except BlockingIOError:
            return
        except OSError:
            typed = b""
        if typed == b"":
            self._wait_for(person, reads=False, writes=False)
            person.close()
            self._person, self._unshown = None, b""
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif typed:
            self._unsent += typed

    def _listen(self, qemu: socket.socket, mask: int) -> None:
        try:
            if mask & selectors.EVENT_WRITE:
                self._unsent = self._unsent[qemu.send(self._unsent) :]
            said = qemu.recv(_READ_BYTES) if mask & selectors.EVENT_READ else None
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if said == b"":
            self._hang_up(qemu)
        elif said:
            self._take(said)
            if len(said) < _READ_BYTES and self._on_data is not None and self._person is None:
                # Whoever looks on wants each letter at once; a log does not.
                self._wait_a_little()

    def _wait_a_little(self) -> None:
        with selectors.SelectSelector() as stop:
            stop.register(self._stop, selectors.EVENT_READ)
            stop.select(GATHER_S)

    def _take(self, said: bytes) -> None:
        if self._on_data is not None:
            self._on_data(said)
        if self._person is not None:
            # A terminal that is not read must not hold up the guest: it loses the oldest.
            self._unshown = (self._unshown + said)[-MOST_UNSHOWN_BYTES:]

    def _take_rest(self) -> None:
        """Take what QEMU has sent before its end, and show what is left to whoever is attached."""
        with suppress(OSError):
            while self._qemu is not None and (said := self._qemu.recv(_READ_BYTES)):
                self._take(said)
        with suppress(OSError):
            if self._person is not None:
                self._person.send(self._unshown)

    def _hang_up(self, qemu: socket.socket) -> None:
        self._wait_for(qemu, reads=False, writes=False)
        qemu.close()
        self._qemu, self._unsent = None, b""
        if self._person is not None:
            # The guest has hung up, as QEMU itself would.
            with suppress(OSError):
                self._person.send(self._unshown)
                self._person.shutdown(socket.SHUT_WR)

    def _choose(self) -> None:
        """Wait for a reader only while there is something for it, and for no more keys while many are unsent."""
        if self._qemu is not None:
            self._wait_for(self._qemu, reads=True, writes=bool(self._unsent))
        if self._person is not None:
            may_type = len(self._unsent) < MOST_UNSENT_BYTES
            self._wait_for(self._person, reads=may_type, writes=bool(self._unshown))

    def _wait_for(self, one: socket.socket, *, reads: bool, writes: bool) -> None:
        events = (selectors.EVENT_READ if reads else 0) | (selectors.EVENT_WRITE if writes else 0)
        key = self._selector.get_map().get(one)
        if key is None and events:
            self._selector.register(one, events)
        elif key is not None and not events:
            self._selector.unregister(one)
        elif key is not None and key.events != events:
            self._selector.modify(one, events)
