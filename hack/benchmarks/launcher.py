"""A launcher as a child process, or the least that does its work: when its guest runs, and the QEMU that it started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hack.benchmarks.bare import RUNNING
from hack.benchmarks.processes import PATIENCE_S, BenchError, end, kill, wait_for_end
from launcher.supervise.pace import SLOWEST_S

CHECKOUT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of the launcher's log, and when it was read (monotonic seconds)."""

    event: str
    message: str
    at_s: float


class StartedGuest(ABC):
    """A process that holds a guest over a root, and what it says on standard error, a line at a time."""

    def __init__(self, command: Sequence[str], root: Path) -> None:
        """Start the process; `started_s` is the moment before there was one."""
        self._root = root
        self._lines: list[LogLine] = []
        self._news = threading.Condition()
        self.started_s = time.monotonic()
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            cwd=CHECKOUT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @abstractmethod
    def wait_until_running(self) -> float:
        """Wait until the guest runs, and return the seconds since before the process began."""

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
                    raise BenchError(f"process {self.process.pid} never said {event}: {message}; its log:\n{log}")
            return found

    def _find(self, event: str, message: str) -> LogLine | None:
        matching = (line for line in self._lines if line.event == event and line.message.startswith(message))
        return next(matching, None)

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
        """Kill QEMU, the quickest end of all, and wait for the process's."""
        kill(self.qemu_pid())
        wait_for_end(self.process)
        self._reader.join(PATIENCE_S)

    def close(self) -> None:
        """Leave nothing behind, whatever happened: first the process ends, which could start a QEMU meanwhile."""
        end(self.process)
        for pid in self._qemu_pids():
            kill(pid)


class LaunchedGuest(StartedGuest):
    """One `virt-launcher run` as in a container: JSON lines, nothing drawn for people."""

    def __init__(self, vmi: Path, root: Path) -> None:
        """Start the launcher."""
        run = launcher_command("run", str(vmi), "--root", str(root), "--virt-type", "qemu", "--log-format", "json")
        super().__init__((*run, "--verbose", "--settle-timeout", "0"), root)

    def wait_until_running(self) -> float:
        """Wait until the guest runs, verified, and return the seconds since before the launcher's process began."""
        return self.wait_for("phase", "running").at_s - self.started_s


class BareGuest(StartedGuest):
    """The same guest held by `bare.py`: the floor of what the launcher takes."""

    def __init__(self, xml: Path, root: Path) -> None:
        """Start it over the root of a launcher that has ended, which has made its folders and asked QEMU."""
        program = Path(__file__).parent / "bare.py"
        super().__init__((sys.executable, str(program), str(root), str(xml), str(SLOWEST_S)), root)

    def wait_until_running(self) -> float:
        """Wait until libvirt has started the guest, and return the seconds since before the process began."""
        return self.wait_for("", RUNNING).at_s - self.started_s


@contextmanager
def launched(vmi: Path, root: Path) -> Iterator[LaunchedGuest]:
    """Start a launcher over this root, and end it and its QEMU afterwards."""
    with closing(LaunchedGuest(vmi, root)) as guest:
        yield guest


@contextmanager
def held_barely(xml: Path, root: Path) -> Iterator[BareGuest]:
    """Start a domain that was rendered for this root, which a launcher has used, and end both afterwards."""
    with closing(BareGuest(xml, root)) as guest:
        yield guest


def render(vmi: Path, root: Path) -> Path:
    """Write the XML of the domain that a launcher would start over this root, beside the manifest."""
    command = launcher_command("render", str(vmi), "--virt-type", "qemu", "--root", str(root))
    rendered = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment(), cwd=CHECKOUT)
    xml = vmi.with_name(f"{vmi.stem}-{root.name}.xml")
    xml.write_bytes(rendered.stdout)
    return xml


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
