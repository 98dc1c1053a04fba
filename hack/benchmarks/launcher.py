"""A launcher as a child process: its log with the time of each line, and the QEMU that it started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hack.benchmarks.processes import PATIENCE_S, BenchError, end, kill, wait_for_end

CHECKOUT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of the launcher's log, and when it was read (monotonic seconds)."""

    event: str
    message: str
    at_s: float


class LaunchedGuest:
    """One `virt-launcher run` as in a container: JSON lines, nothing drawn for people."""

    def __init__(self, vmi: Path, root: Path) -> None:
        """Start the launcher; `started_s` is the moment before there was a process."""
        self._root = root
        self._lines: list[LogLine] = []
        self._news = threading.Condition()
        command = launcher_command("run", str(vmi), "--root", str(root), "--virt-type", "qemu", "--log-format", "json")
        self.started_s = time.monotonic()
        self.process = subprocess.Popen(
            [*command, "--verbose", "--settle-timeout", "0"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            cwd=CHECKOUT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for text in self.process.stderr or ():
            line = parse_line(text, time.monotonic())
            with self._news:
                self._lines.append(line)
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def wait_for(self, event: str, message: str = "") -> LogLine:
        """Wait for a line with this event whose message begins so; raises BenchError with the log where none comes."""
        deadline_s = time.monotonic() + PATIENCE_S
        with self._news:
            while (found := self._find(event, message)) is None:
                if not self._reader.is_alive() or not self._news.wait(deadline_s - time.monotonic()):
                    log = "\n".join(f"{line.event}: {line.message}" for line in self._lines)
                    raise BenchError(f"the launcher never said {event}: {message}; its log:\n{log}")
            return found

    def _find(self, event: str, message: str) -> LogLine | None:
        matching = (line for line in self._lines if line.event == event and line.message.startswith(message))
        return next(matching, None)

    def wait_until_running(self) -> float:
        """Wait until the guest runs, verified, and return the seconds since before the launcher's process began."""
        return self.wait_for("phase", "running").at_s - self.started_s

    def qemu_pid(self) -> int:
        """Return QEMU's pid; libvirt writes it to a file."""
        found = self._qemu_pids()
        if len(found) != 1:
            raise BenchError(f"{self._root}: {len(found)} pid files of QEMU, expected one")
        return found[0]

    def _qemu_pids(self) -> list[int]:
        files = (file for file in (self._root / "run/qemu").glob("*.pid") if file.name != "driver.pid")
        return [int(file.read_text()) for file in files]

    def stop(self) -> None:
        """Kill QEMU, the quickest end of all, and wait for the launcher's."""
        kill(self.qemu_pid())
        wait_for_end(self.process)
        self._reader.join(PATIENCE_S)

    def close(self) -> None:
        """Leave nothing behind, whatever happened: first the launcher ends, which could start a QEMU meanwhile."""
        end(self.process)
        for pid in self._qemu_pids():
            kill(pid)


@contextmanager
def launched(vmi: Path, root: Path) -> Iterator[LaunchedGuest]:
    """Start a launcher over this root, and end it and its QEMU afterwards."""
    guest = LaunchedGuest(vmi, root)
    try:
        yield guest
    finally:
        guest.close()


def parse_line(text: str, at_s: float) -> LogLine:
    """Read one line of the log; what is not JSON (a traceback) is kept as the message."""
    try:
        fields = json.loads(text)
        return LogLine(event=str(fields["event"]), message=str(fields["message"]), at_s=at_s)
    except (ValueError, KeyError, TypeError):
        return LogLine(event="", message=text.rstrip("\n"), at_s=at_s)


def launcher_command(*arguments: str) -> tuple[str, ...]:
    """Return the command that runs this checkout's launcher."""
    return sys.executable, "-m", "launcher", *arguments


def environment() -> dict[str, str]:
    """Return this environment with this checkout's launcher importable and nobody's own settings of it.

    An installed launcher has its byte code beside it: with PYTHONDONTWRITEBYTECODE every start would compile it anew.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VIRT_LAUNCHER_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    path = os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH"))))
    return {**kept, "PYTHONPATH": path}
