"""The verb `verify` on a domain that another tool started, under a libvirtd of its own and a real QEMU (TCG)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import threads_by_name
from tests.qemu.guests import CHECKOUT, environment_of_a_checkout

NOBODY = 65534
DOMAIN = """\
<domain type='qemu'><name>foreign</name><memory unit='MiB'>64</memory><vcpu>2</vcpu><iothreads>1</iothreads>
<cputune><vcpupin vcpu='0' cpuset='{first}'/><vcpupin vcpu='1' cpuset='{second}'/><emulatorpin cpuset='{second}'/>
<iothreadpin iothread='1' cpuset='{second}'/></cputune>
<os><type arch='x86_64' machine='q35'>hvm</type></os><devices><memballoon model='none'/></devices></domain>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Libvirtd:
    """A libvirtd for the session of a user without privileges, and the URI by which anyone reaches it."""

    folder: Path
    uri: str

    def virsh(self, *arguments: str) -> str:
        done = subprocess.run(
            ["virsh", "-c", self.uri, *arguments], capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def libvirtd() -> Iterator[Libvirtd]:
    """Run one in the foreground, for it leaves no trace outside of its folder then."""
    # The path of a socket may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="vl-", dir="/tmp"))
    (folder / "run").mkdir(mode=0o700)
    # Else libvirtd would start a virtlogd that outlives it by two minutes.
    (folder / ".config/libvirt").mkdir(parents=True)
    (folder / ".config/libvirt/qemu.conf").write_text('stdio_handler = "file"\n')
    become = []
    if os.geteuid() == 0:
        become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    program = shutil.which("libvirtd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert program is not None, "libvirtd is not installed: `make test` installs it"
    environment = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder / "run")}
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        environment.pop(name, None)
    with subprocess.Popen([*become, program], env=environment, cwd="/") as daemon:
        socket = folder / "run/libvirt/libvirt-sock"
        _wait_for(socket, daemon)
        yield Libvirtd(folder=folder, uri=f"qemu+unix:///session?socket={socket}")
        daemon.terminate()
    shutil.rmtree(folder)


def _wait_for(socket: Path, daemon: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not socket.exists():
        assert daemon.poll() is None, "libvirtd ended"
        assert time.monotonic() < deadline, "libvirtd does not listen"
        time.sleep(0.05)


def _verify(libvirtd: Libvirtd, name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "launcher", "verify", name, "--connect", libvirtd.uri]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment_of_a_checkout(), cwd=CHECKOUT, timeout=120
    )


def _tid(libvirtd: Libvirtd, thread: str) -> int:
    (pid_file,) = libvirtd.folder.glob("run/libvirt/qemu/run/foreign.pid")
    return threads_by_name(int(pid_file.read_text()))[thread]


def test_a_domain_of_another_tool_is_verified_and_its_drift_is_seen(
    libvirtd: Libvirtd, two_cpus: tuple[int, int]
) -> None:
    first, second = two_cpus
    path = libvirtd.folder / "domain.xml"
    path.write_text(DOMAIN.format(first=first, second=second))
    libvirtd.virsh("create", str(path))
    try:
        as_configured = _verify(libvirtd, "foreign")
        os.sched_setaffinity(_tid(libvirtd, "CPU 1/TCG"), {first})
        moved = _verify(libvirtd, "foreign")
        missing = _verify(libvirtd, "nobody")
    finally:
        libvirtd.virsh("destroy", "foreign")
    assert (as_configured.returncode, as_configured.stderr) == (0, ""), as_configured.stdout
    assert "no launcher recorded a plan; configuration and kernel compared" in as_configured.stdout
    assert moved.returncode == 10
    (row,) = [line for line in moved.stdout.splitlines() if "DRIFTED" in line and "vcpu" in line]
    assert row.split()[-4:] == ["-", str(second), str(first), "DRIFTED"]
    assert moved.stdout.endswith(", 1 DRIFTED\n")
    assert missing.returncode == 7
    assert missing.stderr == f"virt-launcher: domain nobody: no such domain runs at {libvirtd.uri}\n"
