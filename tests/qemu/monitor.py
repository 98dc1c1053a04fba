"""QEMU's own monitor, asked past any libvirt; it is free for one who asks once no launcher is there."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

# A QEMU that is alive answers at once, on a busy machine too.
ANSWER_S = 60.0


def on_monitor(root: Path, *commands: str, timeout_s: float = ANSWER_S) -> list[Any]:
    """Have the QEMU of this root do this, and return its answers (QMP); one in several words is for people (HMP).

    Raises TimeoutError where one has not come in time.
    """
    (path,) = root.glob("lib/qemu/domain-*/monitor.sock")
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(timeout_s)
        monitor.connect(str(path))
        with monitor.makefile("rw") as lines:
            answers = []
            for command in ("qmp_capabilities", *commands):
                lines.write(json.dumps(_execution(command)))
                lines.flush()
                while "return" not in (answer := json.loads(lines.readline())):
                    pass
                answers.append(answer["return"])
    return answers[1:]


def run_state(root: Path) -> str:
    """Return what QEMU says of itself: a guest is prelaunch until its first resume."""
    (status,) = on_monitor(root, "query-status")
    return str(status["status"])


def _execution(command: str) -> dict[str, Any]:
    if " " not in command:
        return {"execute": command}
    return {"execute": "human-monitor-command", "arguments": {"command-line": command}}
