"""A libvirtd of the test's own, all of whose files lie in one short folder, so that no other libvirtd is touched."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.qemu.known import hand_out

# A first start probes QEMU, on a machine that does other things, too.
START_TIMEOUT_S = 90.0

_CONFIGURATION = """\
unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
"""

# As the launcher's own root has it: QEMU stays in our control groups, and nobody needs virtlogd.
_QEMU_CONFIGURATION = """\
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
remember_owner = 0
dynamic_ownership = 0
security_driver = "none"
"""

# libvirtd as root has its folders compiled in: it sees the test's in their place, and nobody else does.
_IN_OUR_FOLDERS = """
mount --make-rprivate /
for pair in etc:/etc/libvirt lib:/var/lib/libvirt run:/run/libvirt cache:/var/cache/libvirt log:/var/log/libvirt; do
    mkdir -p "${pair#*:}"
    mount --bind "$0/${pair%%:*}" "${pair#*:}"
done
exec "$@"
"""


class PrivateLibvirtd:
    """One libvirtd over one folder, started and killed as often as the test wants."""

    def __init__(self, folder: Path, known: Path) -> None:
        """Lay out its files; `known` is a folder with what another libvirt has found out about QEMU, if one has."""
        self.folder = folder
        for name in ("etc", "lib", "run", "cache", "log"):
            (folder / name).mkdir()
        privileged = os.geteuid() == 0
        configuration = _CONFIGURATION + (f'unix_sock_dir = "{folder}/run"\n' if privileged else "")
        (folder / "etc/libvirtd.conf").write_text(configuration)
        user = 'user = "+0"\ngroup = "+0"\n' if privileged else ""
        where = folder / "etc" if privileged else folder / "etc/libvirt"
        where.mkdir(exist_ok=True)
        (where / "qemu.conf").write_text(_QEMU_CONFIGURATION + user)
        hand_out(known, folder / ("cache" if privileged else "cache/libvirt"))
        self._socket = folder / ("run/libvirt-sock" if privileged else "run/libvirt/libvirt-sock")
        self.uri = f"qemu+unix:///{'system' if privileged else 'session'}?socket={self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start libvirtd and wait until it answers."""
        self._socket.unlink(missing_ok=True)
        with (self.folder / "log/output").open("ab") as output:
            self._process = subprocess.Popen(
                self._command(), stdout=output, stderr=output, env=self._environment(), start_new_session=True
            )
        ends_s = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > ends_s:
                pytest.fail(f"libvirtd did not start: {(self.folder / 'log/output').read_text()[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill libvirtd without a warning."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Have libvirtd stand still meanwhile."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def qemu_pid(self) -> int:
        """Return the pid of the one guest that runs."""
        (path,) = self.folder.rglob("tests_demo.pid")
        return int(path.read_text())

    def on_monitor(self, command: str) -> str:
        """Have the one guest's QEMU do this, in the words of its monitor for people."""
        virsh = ["virsh", "--quiet", "--connect", self.uri, "qemu-monitor-command", "--hmp", "tests_demo", command]
        return subprocess.run(virsh, capture_output=True, text=True, check=True, timeout=120).stdout

    def _command(self) -> list[str]:
        pid_file = str(self.folder / "run/libvirtd.pid")
        libvirtd = ["libvirtd", "--config", str(self.folder / "etc/libvirtd.conf"), "--pid-file", pid_file]
        if os.geteuid() == 0:
            return ["unshare", "--mount", "sh", "-euc", _IN_OUR_FOLDERS, str(self.folder), *libvirtd]
        return libvirtd

    def _environment(self) -> dict[str, str]:
        folders = {"HOME": "lib", "XDG_RUNTIME_DIR": "run", "XDG_CONFIG_HOME": "etc", "XDG_CACHE_HOME": "cache"}
        path = f"{os.environ.get('PATH', '')}:/usr/sbin"
        return {**os.environ, "PATH": path, **{name: str(self.folder / place) for name, place in folders.items()}}

    def _answers(self) -> bool:
        command = ["virsh", "--quiet", "--connect", self.uri, "version"]
        try:
            return subprocess.run(command, capture_output=True, check=False, timeout=START_TIMEOUT_S).returncode == 0
        except subprocess.TimeoutExpired:
            return False
