"""The termination message: why the launcher ended, where the kubelet looks for it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from launcher.errors import ExitStatus

# The kubelet makes this file (Container.terminationMessagePath) and reads at most 4096 bytes of it.
TERMINATION_LOG = Path("/dev/termination-log")
MOST_BYTES = 4096


def write_termination_message(status: ExitStatus, reason: str, path: Path = TERMINATION_LOG) -> None:
    """Write status and reason where the file exists; elsewhere, or where it cannot be written, do nothing."""
    if not path.exists():
        return
    message = f"exit status {status.value}: {reason}".encode(errors="replace")
    with suppress(OSError):
        path.write_bytes(message[:MOST_BYTES].decode(errors="ignore").encode())
