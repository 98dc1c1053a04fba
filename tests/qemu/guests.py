"""Real guests under real QEMU (TCG): a launcher as a child process, and the manifests of guests.

A guest's own view of its machine is told by the demo guest, a Linux. Where the question is about the launcher, libvirt
or QEMU, the small guest does, a boot sector: it costs a tenth of a second of CPU time, Linux two to three.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.boot_sector import Sector, boot_kernel
from tests.processes import is_running
from tests.qemu.stillness import GuestStoodStill, end, evidence_of

CHECKOUT = Path(__file__).parent.parent.parent
KERNEL = CHECKOUT / ".cache/guest/vmlinuz"
INITRD = CHECKOUT / ".cache/guest/initramfs"

# The kernel does not try its ciphers first, a sixth of what booting costs an emulated CPU.
KERNEL_ARGUMENTS = "console=ttyS0 quiet no_timer_check nohz=off cryptomgr.notests"

# The small guest that does no more than it has to: it is up, and powers off when it is told to.
HEEDFUL = Sector()

# A guest boots in 3 to 10 s under TCG on an idle machine; a busy one may take several times that.
BOOT_TIMEOUT_S = 90.0


def environment_of_a_checkout() -> dict[str, str]:
    """Return the environment in which `python -m launcher` is this checkout's launcher."""
    path = os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}


class Launcher:
    """One `virt-launcher run` as a child process, its output, and the QEMU that it started."""

    def __init__(
        self,
        vmi: Path,
        root: Path,
        arguments: tuple[str, ...],
        environment: dict[str, str],
        prefix: tuple[str, ...] = (),
    ) -> None:
        """Start it; `prefix` is a command that runs another one, such as unshare."""
        self.root = root
        self.lines: list[str] = []
        self._news = threading.Condition()
        command = [sys.executable, "-m", "launcher", "run", str(vmi), "--root", str(root), "--virt-type", "qemu"]
        self.process = subprocess.Popen(
            [*prefix, *command, "--log-format", "text", "--settle-timeout", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**environment_of_a_checkout(), **environment},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, timeout_s: float = BOOT_TIMEOUT_S) -> str:
        """Wait for a line of the output; fail with all of the output where it does not come."""
        deadline = time.monotonic() + timeout_s
        looked_at = 0
        with self._news:
            while True:
                for line in self.lines[looked_at:]:
                    if re.search(pattern, line):
                        return line
                looked_at = len(self.lines)
                left = deadline - time.monotonic()
                if left <= 0 or not self._reader.is_alive():
                    break
                self._news.wait(min(left, 1.0))
        raise self._failure(f"no line {pattern!r} in the launcher's output")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ask(self, verb: str, *arguments: str) -> str:
        """Speak to the running launcher as a person would, and return what it prints."""
        command = [sys.executable, "-m", "launcher", verb, "--root", str(self.root), *arguments]
        environment = environment_of_a_checkout()
        result = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, env=environment, timeout=BOOT_TIMEOUT_S
        )
        return result.stdout

    def wait(self, timeout_s: float = BOOT_TIMEOUT_S) -> int:
        """Wait for the launcher's end and return its exit status."""
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise self._failure(f"the launcher did not end within {timeout_s} s") from None
        self._reader.join(10)
        return status

    def _failure(self, what: str) -> BaseException:
        """Return what to raise, with the launcher's output: GuestStoodStill where its guest runs and says nothing."""
        qemu = self._qemu_of_a_silent_guest()
        if qemu is None:
            return pytest.fail.Exception(f"{what}:\n{self.output}")
        self.process.kill()
        self.process.wait()
        runs, seen = evidence_of(self.root, qemu)
        end(qemu)
        message = f"{what}:\n{self.output}\n{seen}"
        return GuestStoodStill(message) if runs else pytest.fail.Exception(message)

    def _qemu_of_a_silent_guest(self) -> int | None:
        if self.process.poll() is not None or "phase: running" not in self.output or "console | " in self.output:
            return None
        try:
            qemu = self.qemu_pid()
        except ValueError:
            return None
        return qemu if is_running(qemu) else None

    def kill_once_running(self) -> None:
        """Kill the launcher as soon as its guest runs; QEMU and its pid file stay for the next one."""
        self.wait_for("phase: running")
        self.signal(signal.SIGKILL)
        self.wait()

    def end_by_force(self) -> None:
        """End a guest whose end is not what the test is about: destroyed, or off in order where it has booted."""
        self.signal(signal.SIGTERM)
        self.wait_for("phase: shutting down")
        # Sooner it would be the same wish (Timing.repeat_s).
        time.sleep(0.3)
        self.signal(signal.SIGTERM)
        assert self.wait() in (0, 9), self.output

    def qemu_pid(self) -> int:
        """Return the pid of the QEMU of this root; libvirt's pid file names it."""
        (path,) = [path for path in (self.root / "run/qemu").glob("*.pid") if path.name != "driver.pid"]
        return int(path.read_text())


def manifest(
    *,
    cores: int = 2,
    kernel_arguments: str = "",
    isolate: bool = False,
    dedicated: bool = True,
    disks: tuple[Path, ...] = (),
) -> dict[str, Any]:
    """Return the manifest of a demo guest with so many cores, as `json` and YAML have it."""
    boot = {
        "kernelArgs": f"{KERNEL_ARGUMENTS} {kernel_arguments}".strip(),
        "container": {"kernelPath": str(KERNEL), "initrdPath": str(INITRD)},
    }
    return _manifest(boot, cores=cores, isolate=isolate, dedicated=dedicated, disks=disks)


def small_manifest(
    *,
    cores: int = 2,
    sector: Sector = HEEDFUL,
    isolate: bool = False,
    dedicated: bool = True,
    disks: tuple[Path, ...] = (),
) -> dict[str, Any]:
    """Return the manifest of the small guest, which says READY and does what the sector is for."""
    boot = {"container": {"kernelPath": str(kernel_of(sector))}}
    return _manifest(boot, cores=cores, isolate=isolate, dedicated=dedicated, disks=disks)


def kernel_of(sector: Sector) -> Path:
    """Return the file of the small guest's kernel, beside the demo guest's; it is written where it is not there yet."""
    kernel = boot_kernel(sector)
    path = KERNEL.with_name(f"sector-{hashlib.sha256(kernel).hexdigest()[:16]}")
    if not path.exists():
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(kernel)
        Path(file.name).chmod(0o644)
        Path(file.name).rename(path)
    return path


def _manifest(
    boot: dict[str, Any], *, cores: int, isolate: bool, dedicated: bool, disks: tuple[Path, ...]
) -> dict[str, Any]:
    cpu: dict[str, Any] = {"sockets": 1, "cores": cores, "threads": 1, "dedicatedCpuPlacement": dedicated}
    if isolate:
        cpu["isolateEmulatorThread"] = True
    domain: dict[str, Any] = {
        "cpu": cpu,
        "memory": {"guest": "192Mi"},
        "firmware": {"kernelBoot": boot},
        "devices": {"disks": [{"name": f"disk{i}", "disk": {"bus": "virtio"}} for i in range(len(disks))]},
    }
    if disks:
        domain["ioThreadsPolicy"] = "auto"
    volumes = [{"name": f"disk{i}", "hostDisk": {"path": str(path), "type": "Disk"}} for i, path in enumerate(disks)]
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": "demo", "namespace": "tests"},
        "spec": {"domain": domain, "volumes": volumes},
    }
