"""A private libvirtd to compare with: a session daemon whose every file lies in one folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.benchmarks.processes import PATIENCE_S, BenchError, end, kill

# libvirtd as root is always the system's own, with fixed paths that a running one has locked; as any other user it is
# a session daemon. 65534 is "nobody" everywhere.
_NOBODY = 65534

# virtlogd would be one more process to start; the launcher has none either.
_QEMU_CONF = 'stdio_handler = "file"\n'


class PrivateLibvirtd:
    """One libvirtd at a time over one folder, and virsh as its client."""

    def __init__(self, folder: Path) -> None:
        """Make the folder; no daemon runs yet."""
        self._folder = folder
        for name in ("home", "run", "cache", "config/libvirt", "root/run", "root/log"):
            (folder / name).mkdir(parents=True)
        (folder / "config/libvirt/qemu.conf").write_text(_QEMU_CONF)
        self._user = _NOBODY if os.geteuid() == 0 else None
        if self._user is not None:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, self._user, self._user)
        self._process: subprocess.Popen[str] | None = None

    @property
    def console_root(self) -> Path:
        """A folder in which this daemon's QEMU may make the sockets and logs that a launcher's root holds."""
        return self._folder / "root"

    def start(self) -> float:
        """Start the daemon and wait until it answers; return the seconds it took."""
        started_s = time.monotonic()
        self._process = self._popen("libvirtd")
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > started_s + PATIENCE_S:
                raise BenchError(f"libvirtd did not start (exit status {self._process.poll()})")
            time.sleep(0.002)
        return time.monotonic() - started_s

    def create(self, xml: Path) -> float:
        """Run `virsh create`; return the seconds it took."""
        return self._virsh("create", str(xml))

    def kill_guests(self) -> None:
        """Kill every QEMU, and wait until the daemon has noticed."""
        deadline_s = time.monotonic() + PATIENCE_S
        for file in self._pid_files():
            kill(int(file.read_text()))
        while self._pid_files():
            if time.monotonic() > deadline_s:
                raise BenchError("libvirtd did not notice the end of its guest")
            time.sleep(0.01)

    def stop(self) -> None:
        """End the daemon and every QEMU that it left; its cached capabilities stay."""
        for file in self._pid_files():
            kill(int(file.read_text()))
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE_S)
            finally:
                end(self._process)
            self._process = None

    def forget_capabilities(self) -> None:
        """Have the next start probe QEMU again."""
        shutil.rmtree(self._folder / "cache/libvirt", ignore_errors=True)

    def _pid_files(self) -> list[Path]:
        folder = self._folder / "run/libvirt/qemu/run"
        return [file for file in folder.glob("*.pid") if file.name != "driver.pid"]

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(self._folder / "run/libvirt/libvirt-sock"))
            except OSError:
                return False
        return True

    def _virsh(self, *arguments: str) -> float:
        started_s = time.monotonic()
        process = self._popen("virsh", "--quiet", "--connect", "qemu:///session", *arguments)
        _, errors = process.communicate(timeout=PATIENCE_S)
        took_s = time.monotonic() - started_s
        if process.returncode != 0:
            raise BenchError(f"virsh {' '.join(arguments)}: {errors.strip()}")
        return took_s

    def _popen(self, *command: str) -> subprocess.Popen[str]:
        folder = self._folder
        environment = {
            "PATH": f"{os.environ['PATH']}:/usr/sbin",
            "LC_ALL": "C.UTF-8",
            "HOME": str(folder / "home"),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }
        # The daemon complains of what a session without D-Bus and dnsmasq lacks; none of it is used here.
        errors = subprocess.DEVNULL if command[0] == "libvirtd" else subprocess.PIPE
        return subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            text=True,
            env=environment,
            cwd=folder,
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
        )


@contextmanager
def private_libvirtd(folder: Path) -> Iterator[PrivateLibvirtd]:
    """Provide a private libvirtd that is not started yet, and end it afterwards."""
    daemon = PrivateLibvirtd(folder)
    try:
        yield daemon
    finally:
        daemon.stop()
