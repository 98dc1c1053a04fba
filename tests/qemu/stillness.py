"""A guest that QEMU runs and that says nothing: what its QEMU is doing, so that this one is understood.

QEMU before 8.1, when it emulates several CPUs, may go on running an instruction that one of them has just replaced (its
commit deba78709a): of some hundred guests one stood still so, both vCPUs in a loop of breakpoints. `nohz=off` keeps the
kernel from the place where that was seen (hack/README.md), but it replaces others. The launcher has no part in it where
QEMU says that the guest runs.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from tests.processes import fields_of, is_running, threads_by_name
from tests.qemu.monitor import on_monitor

# A QEMU that is alive answers sooner.
ANSWER_S = 10.0
# Between two looks at what each thread has used of its processor.
BETWEEN_S = 1.0

# Registers that tell nothing of where a guest stands.
_UNTOLD = ("FCW", "FPR", "XMM", "YMM", "ZMM", "Opmask", "DR")


class GuestStoodStill(Exception):
    """QEMU ran a guest that said nothing at all. hack/run-tests tries such a test once more, and says that it did."""


def evidence_of(root: Path, qemu: int) -> tuple[bool, str]:
    """Look at a QEMU whose launcher is gone: does the guest run, as far as it answers, and what is it doing?"""
    threads = _threads(qemu)
    try:
        status, registers = on_monitor(root, "query-status", "info registers -a", timeout_s=ANSWER_S)
    except OSError as error:
        return True, f"QEMU does not answer its monitor: {error}\n{threads}"
    told = "\n".join(line for line in registers.splitlines() if not line.startswith(_UNTOLD))
    return status["status"] == "running", f"QEMU says: {status}\n{threads}\n{told}"


def end(qemu: int) -> None:
    """Kill the QEMU that has been looked at, and wait until it is gone."""
    with suppress(ProcessLookupError):
        os.kill(qemu, signal.SIGKILL)
    while is_running(qemu):
        time.sleep(0.01)


def _threads(pid: int) -> str:
    tasks = {name: Path(f"/proc/{pid}/task/{tid}") for name, tid in threads_by_name(pid).items() if name != "main"}
    before = {name: _run_time_s(task) for name, task in tasks.items()}
    time.sleep(BETWEEN_S)
    return "\n".join(_thread(name, task, _run_time_s(task) - before[name]) for name, task in tasks.items())


def _thread(name: str, task: Path, used_s: float) -> str:
    status = fields_of(task / "status")
    words = f"{name}: on CPUs {status['Cpus_allowed_list']}, {status['State']}, waits in {(task / 'wchan').read_text()}"
    return f"{words}, has used {used_s:.3f} of {BETWEEN_S:g} s, switched {status['voluntary_ctxt_switches']} times"


def _run_time_s(task: Path) -> float:
    """Return how long a thread has run (Documentation/scheduler/sched-stats.rst in the kernel's source)."""
    return int((task / "schedstat").read_text().split()[0]) / 1e9
