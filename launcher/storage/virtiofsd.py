"""Starts a virtiofsd for each folder that the guest shares, in the mode that this user and this container allow.

The daemon written in Rust (virtiofsd 1.x) needs no privilege with its sandbox off, which is how KubeVirt runs it, too:
it may do what the launcher's user may, in a container that is its sandbox. QEMU's own of before 8.0, in C, needs root.
A daemon ends by itself when its guest does, and outlives a launcher that is killed, as QEMU does.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.errors import GuestDestroyed, HypervisorError
from launcher.storage.shares import Share

_log = logging.getLogger(__name__)

# Debian 13 and Fedora, Debian 12's qemu-system-common, Alpine.
PROGRAMS = ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd", "/usr/lib/virtiofsd")
_RUST = re.compile(r"virtiofsd (?:backend )?1\.")
# Asked for its version it answers at once.
_VERSION_TIMEOUT_S = 10.0
# Its socket is there within milliseconds.
_START_TIMEOUT_S = 20.0
_START_INTERVAL_S = 0.02
# Of what a daemon says so much is logged, and so much told where it does not serve.
_MOST_LINES = 50
_LONGEST_LINE = 500
_LAST_LINES = 5


class Virtiofsd(Struct, frozen=True, kw_only=True):
    """The program, and which of the two it is."""

    path: str
    is_rust: bool

    def command(self, share: Share) -> tuple[str, ...]:
        """Return the command line of the daemon of one folder."""
        socket = f"--socket-path={share.socket}"
        if self.is_rust:
            return (
                self.path,
                socket,
                f"--shared-dir={share.folder}",
                "--sandbox=none",
                "--cache=auto",
                "--log-level=error",
            )
        # A comma would begin another option.
        source = share.folder.replace("\\", "\\\\").replace(",", "\\,")
        return (
            self.path,
            socket,
            "-o",
            f"source={source}",
            "-o",
            "sandbox=chroot",
            "-o",
            "cache=auto",
            "-o",
            "log_level=err",
        )


def find_virtiofsd(programs: tuple[str, ...] = PROGRAMS) -> Virtiofsd:
    """Return the first of these programs that this user can run; raises HypervisorError that says what is missing."""
    found = [_identified(path) for path in programs if os.access(path, os.X_OK)]
    usable = [one for one in found if one.is_rust or os.geteuid() == 0]
    if usable:
        # Where there are both, the one that needs no privilege.
        return max(usable, key=lambda one: one.is_rust)
    if found:
        raise HypervisorError(
            f"filesystems: {found[0].path} is the virtiofsd of QEMU before 8.0, which only root can run; install "
            "virtiofsd 1.x (Debian 13: the package virtiofsd), which needs no privilege"
        )
    raise HypervisorError(
        f"filesystems: there is no virtiofsd ({', '.join(programs)}); Debian 13: the package virtiofsd"
    )


def _identified(path: str) -> Virtiofsd:
    try:
        done = subprocess.run(  # noqa: S603 - one of the programs above
            [path, "--version"], capture_output=True, timeout=_VERSION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HypervisorError(f"{path} does not say its version: {error}") from error
    return Virtiofsd(path=path, is_rust=_RUST.match(done.stdout.decode(errors="replace")) is not None)


class _Daemon:
    """A virtiofsd, and the first lines of what it said."""

    def __init__(self, program: Virtiofsd, share: Share) -> None:
        self.said: list[str] = []
        self._share = share
        self._process = subprocess.Popen(  # noqa: S603 - a program of ours, its arguments one word each
            program.command(share),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self._process.pid
        threading.Thread(target=self._listen, name="virtiofsd", daemon=True).start()

    def _listen(self) -> None:
        """Log the first lines, and drop the rest: a guest may have its daemon say much."""
        for line in self._process.stderr or ():
            if len(self.said) < _MOST_LINES:
                self.said.append(line.decode(errors="replace").strip()[:_LONGEST_LINE])
                _log.info("virtiofsd: %s: %s", self._share.tag, self.said[-1])

    def is_alive(self) -> bool:
        """Tell whether it runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it, with what it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


@contextmanager
def shared(shares: tuple[Share, ...], cpus: CPUSet, is_stopping: Callable[[], bool]) -> Iterator[None]:
    """Start a daemon for each share on these CPUs, and wait for its socket; where the context fails, end them all.

    Raises HypervisorError with the words of a daemon that ends, GuestDestroyed where somebody wants the end meanwhile.
    """
    program = find_virtiofsd()
    daemons: list[_Daemon] = []
    try:
        for share in shares:
            daemons.append(_start(program, share, cpus))
            _wait_for(share, daemons[-1], is_stopping)
        yield
    except BaseException:
        for daemon in daemons:
            daemon.kill()
        raise


def _start(program: Virtiofsd, share: Share, cpus: CPUSet) -> _Daemon:
    """Start the daemon; it has the affinity of the thread that starts it, and keeps off the vCPUs' CPUs by that."""
    Path(share.socket).unlink(missing_ok=True)
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, set(cpus))
        daemon = _Daemon(program, share)
    except OSError as error:
        raise HypervisorError(f"{program.path} cannot be started: {error.strerror or error}") from error
    finally:
        os.sched_setaffinity(0, before)
    _log.info("shared: %s as %s, by %s (pid %d)", share.folder, share.tag, program.path, daemon.pid)
    return daemon


def _wait_for(share: Share, daemon: _Daemon, is_stopping: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + _START_TIMEOUT_S
    while not Path(share.socket).is_socket():
        if is_stopping():
            raise GuestDestroyed("stopped before the guest was started")
        if not daemon.is_alive() or time.monotonic() > ends_s:
            words = "; ".join(daemon.said[-_LAST_LINES:]) or "it says nothing"
            raise HypervisorError(f"filesystem {share.tag}: virtiofsd does not serve {share.folder}: {words}")
        time.sleep(_START_INTERVAL_S)
