"""Tries passt before a guest depends on it: a container's seccomp profile may forbid the user namespace it wants."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import stat
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

# passt is a daemon within some 20 ms; a machine so busy that it takes this long takes QEMU's user networking.
TRY_TIMEOUT_S = 5.0
# What passt has open beside the ports that it listens on, generously.
_OTHER_FILES = 128
# Ports that the kernel gives to whoever asks for any (ip-sysctl): passt's "all" leaves them out.
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def passt_fault(*, all_ports: bool = False) -> str | None:
    """Say why passt does not run here, in one line of its own words; None where it does. It is ended again.

    `all_ports` is what it is to forward: each port takes one of the files that a process may open.
    """
    program = shutil.which("passt")
    if program is None:
        return "it is not installed"
    fault = files_fault(resource.getrlimit(resource.RLIMIT_NOFILE)[1], EPHEMERAL.read_text()) if all_ports else None
    if fault is not None:
        return fault
    with tempfile.TemporaryDirectory(prefix="passt-") as folder:
        return _tried(program, Path(folder))


def files_fault(most: int, ephemeral: str) -> str | None:
    """Say that so many open files are too few to listen on all ports of TCP and UDP but the ephemeral ones."""
    first, last = map(int, ephemeral.split())
    needed = 2 * (65535 - (last - first + 1)) + _OTHER_FILES
    if most == resource.RLIM_INFINITY or most >= needed:
        return None
    return f"all ports take {needed} open files, and a process here may have {most}; list the interface's ports"


def _tried(program: str, folder: Path) -> str | None:
    """Start passt, which is in the background once everything it needs is there, and end it."""
    path = folder / "socket"
    command = [program, "--one-off", "--socket", str(path), "-t", "none", "-u", "none"]
    if os.geteuid() == 0:
        # passt of root goes on as nobody.
        folder.chmod(0o711 | stat.S_IWOTH)
    try:
        tried = subprocess.run(  # noqa: S603 - a program of the image, and words of ours
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TRY_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it was not ready within {TRY_TIMEOUT_S:.0f} s"
    except OSError as error:
        return f"{program}: {error.strerror}"
    finally:
        _end(path)
    return None if tried.returncode == 0 else _last_line(tried.stderr) or f"exit status {tried.returncode}"


def _end(path: Path) -> None:
    """Have it end by itself, as it does when its first client goes (--one-off)."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        client.connect(str(path))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
